"""Logs on standard error: one line per event, as JSON or text, with request ids. Tokens never get in."""

from __future__ import annotations

import datetime
import json
import logging
import re
import sys
from typing import Any

_BEARER = re.compile(r"(?i)(bearer\s+)\S+")
logger = logging.getLogger("solver.server")
NOTICE = 35
"""Level of what an operator wants to see in any case: that the server listens, drains and has stopped."""
logging.addLevelName(NOTICE, "NOTICE")


def log(level: int, event: str, **fields: Any) -> None:
    """Log an event with its fields."""
    logger.log(level, event, extra={"fields": fields})


class Formatter(logging.Formatter):
    """One line: time, level, event and the event's fields; secrets replaced."""

    def __init__(self, as_json: bool, secrets: tuple[str, ...] = ()) -> None:
        """Keep what must never be printed."""
        super().__init__()
        self._as_json, self._secrets = as_json, tuple(sorted(secrets, key=len, reverse=True))

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = dict(getattr(record, "fields", {}))
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds")
        head = {"time": moment, "level": record.levelname.lower(), "event": record.getMessage()}
        if self._as_json:
            return self._redacted(json.dumps({**head, **fields}, ensure_ascii=False, default=str))
        tail = " ".join(f"{key}={json.dumps(value, ensure_ascii=False, default=str)}" for key, value in fields.items())
        return self._redacted(" ".join((*head.values(), tail)))

    def _redacted(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        return _BEARER.sub(r"\1[redacted]", text)


def start_logging(as_json: bool, level: str, secrets: tuple[str, ...] = ()) -> None:
    """Log to standard error from here on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(as_json, secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logger.setLevel(level.upper())
