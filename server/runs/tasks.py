"""What a solver process does for runs: registers them, reads them, and answers their batches.

A file is parsed and its catalogue resolved here, in a process that may die of it, never in the server itself. To add an
RPC that only reads or registers: its lines in the .proto, and one function with `@run_rpc` here.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from google.protobuf.message import Message

from server.errors import Refused, store_full, too_many_runs
from server.runs.config import ANSWER, RunsConfig, batch_of, disk_full, rows_bytes
from server.tasks import Call, Task, entries_of, under
from solver.api.v1 import run_service_pb2 as api
from solver.catalog import Library, resolve
from solver.domain.errors import InvalidProblem, SolverFailure
from solver.sweep.engine import Engine
from solver.sweep.file import ScenarioFile, parse, parse_again
from solver.sweep.library_text import library_of
from solver.sweep.run import Settings, checked_run_id, new_run_id, register
from solver.sweep.store import Store
from solver.sweep.submissions import Submission, Submissions, TooManyRuns, checked_request_id
from solver.wire import DEFAULT_CATALOG, parsed, question_from
from solver.wire.runs import page_token, place_of, result_message, run_message

M = TypeVar("M", bound=Message)
PAGE, MOST_IN_PAGE = 100, 1000
_PAGE_BYTES = 2 * 2**20
"""A page ends beyond this size: clients take 4 MiB unless told otherwise."""
_ENGINES = 4


@dataclass(frozen=True)
class _Asked:
    """What a task works with: the call, the settings, the open store, and who asks."""

    call: Call
    config: RunsConfig
    runs: Submissions
    caller: str


RUN_TASKS: dict[str, Task] = {}


def run_rpc(kind: type[M]) -> Callable[[Callable[[M, _Asked], Message]], None]:
    """Register a function as the RPC of its name in CamelCase; requests come with the caller's name before them."""

    def made(function: Callable[[M, _Asked], Message]) -> None:
        def task(data: bytes, call: Call) -> bytes:
            caller, _, request = data.partition(b"\n")
            message = parsed(request, kind)
            config = _config(call)
            with _opened(config) as store:
                try:
                    return function(
                        message, _Asked(call, config, Submissions(store), caller.decode())
                    ).SerializeToString()
                except sqlite3.Error as error:
                    if disk_full(error):
                        raise Refused(store_full()) from None
                    raise SolverFailure(f"the run store: {error}") from None

        RUN_TASKS["".join(part.title() for part in function.__name__.split("_"))] = task

    return made


@run_rpc(api.SubmitScenariosRequest)
def _submit_scenarios(request: api.SubmitScenariosRequest, asked: _Asked) -> Message:
    request_id = checked_request_id(_required(request.request_id, "request_id"))
    digest = _digest(request)
    held = asked.runs.by_request(request_id)
    if held is None:
        run_id = checked_run_id(request.run_id) if request.HasField("run_id") else None
        held = _registered(request, request_id, run_id, digest, asked)
    if held.request_sha256 != digest:
        raise InvalidProblem.of("request_id", request_id, "has been used for another file, base, name or other options")
    return api.SubmitScenariosResponse(run=_told(held, asked))


def _registered(
    request: api.SubmitScenariosRequest, request_id: str, run_id: str | None, digest: str, asked: _Asked
) -> Submission:
    file, library = _file(request, asked)
    if file.total > asked.config.max_scenarios:
        most = f"must stand for at most {asked.config.max_scenarios:,} scenarios on this server"
        raise InvalidProblem.of("file", file.total, most)
    store, config = asked.runs.store, asked.config
    keep = asked.runs.keeper(request_id, digest, asked.caller, config.max_open, config.max_kept)
    try:
        register(
            store, run_id or new_run_id(file.name), file, request.file, library, _options(request, config),
            {"requested_by": asked.caller}, keep,
        )  # fmt: skip
    except TooManyRuns as full:
        raise Refused(too_many_runs(full.what, full.most)) from None
    except (InvalidProblem, sqlite3.IntegrityError) as error:
        # The same request may have come twice at once; then the first has registered it.
        held = asked.runs.by_request(request_id)
        if held is not None:
            return held
        if isinstance(error, InvalidProblem) and error.violations[0].field == "run-id":
            raise InvalidProblem.of("run_id", run_id, "is the name of a run of this server already") from None
        raise
    held = asked.runs.by_request(request_id)
    if held is None:
        raise SolverFailure(f"the submission {request_id} was registered and is gone")
    return held


def _file(request: api.SubmitScenariosRequest, asked: _Asked) -> tuple[ScenarioFile, Library]:
    """The scenario file of a request, and the catalogue its questions are asked on."""
    name = _required(request.file_name, "file_name")
    if len(name) > 200 or not name.isprintable() or "/" in name or "\\" in name:
        raise InvalidProblem.of("file_name", name, "must be the name of a file, 1 to 200 characters, without a folder")
    if not request.file:
        raise InvalidProblem.of("file", None, "is required")
    if len(request.file) > asked.config.max_file_bytes:
        raise InvalidProblem.of(
            "file", None, f"has {len(request.file):,} bytes; the most is {asked.config.max_file_bytes:,}"
        )
    libraries = asked.call.libraries
    if not request.HasField("base"):
        file = parse(request.file, name)
        library = libraries[DEFAULT_CATALOG]
        try:
            resolve(dict(file.question), library)
        except InvalidProblem as error:
            raise file.located(error) from None
        return file, library
    entries = entries_of(request.base)
    if entries > asked.call.max_entries:
        raise InvalidProblem.of(
            "base", None, f"names {entries:,} cards, platforms, offers, prices and ids; the most is "
            f"{asked.call.max_entries:,}"
        )  # fmt: skip
    with under("base"):
        question, library = question_from(request.base, libraries)
        resolve(question, library)
    return parse_again(request.file, name, question), library


def _options(request: api.SubmitScenariosRequest, config: RunsConfig) -> Settings:
    """How to run: a scenario may search as long as asked for, and never longer than the server allows."""
    options, limit = request.options, config.max_time_s
    if options.HasField("time_limit_s"):
        if not 0 < options.time_limit_s <= 1_000_000:
            raise InvalidProblem.of(
                "options.time_limit_s", options.time_limit_s, "must be above 0, at most 1,000,000 seconds"
            )
        limit = min(limit, options.time_limit_s)
    return Settings(time_limit_s=limit, frontiers=options.frontiers if options.HasField("frontiers") else True)


def _digest(request: api.SubmitScenariosRequest) -> str:
    """SHA-256 of all that is asked for."""
    plain = api.SubmitScenariosRequest()
    plain.CopyFrom(request)
    plain.ClearField("request_id")
    return hashlib.sha256(plain.SerializeToString(deterministic=True)).hexdigest()


@run_rpc(api.GetRunRequest)
def _get_run(request: api.GetRunRequest, asked: _Asked) -> Message:
    found = asked.runs.by_run(_required(request.run_id, "run_id"))
    response = api.GetRunResponse(run=_told(found, asked))
    if request.with_input:
        store = asked.runs.store
        response.input.file = store.snapshot(found.run.input_sha256)
        response.input.question_json = found.run.question
        response.input.library_json = store.snapshot(found.run.library_sha256)
    return response


@run_rpc(api.WatchRunRequest)
def _watch_run(request: api.WatchRunRequest, asked: _Asked) -> Message:
    found = asked.runs.by_run(_required(request.run_id, "run_id"))
    return api.WatchRunResponse(run=_told(found, asked))


@run_rpc(api.ListRunResultsRequest)
def _list_run_results(request: api.ListRunResultsRequest, asked: _Asked) -> Message:
    run_id = _required(request.run_id, "run_id")
    size = _size(request)
    after = _after(request, run_id)
    found = asked.runs.by_run(run_id)
    rows, ended = asked.runs.results(found, after, size)
    response = api.ListRunResultsResponse()
    room = _PAGE_BYTES
    for row in rows:
        message = result_message(row)
        room -= message.ByteSize()
        if room < 0 and response.results:
            ended = False
            break
        response.results.append(message)
    if not ended:
        last = response.results[-1].position if response.results else after
        response.next_page_token = page_token(run_id, last)
    return response


def _after(request: api.ListRunResultsRequest, run_id: str) -> int:
    if request.page_token:
        if request.HasField("after_position"):
            raise InvalidProblem.of("after_position", None, "must be absent where a page_token is given")
        return place_of(request.page_token, run_id)
    if request.after_position < 0:
        raise InvalidProblem.of("after_position", request.after_position, "must be at least 0")
    return request.after_position


@run_rpc(api.ListRunsRequest)
def _list_runs(request: api.ListRunsRequest, asked: _Asked) -> Message:
    size = _size(request)
    before = place_of(request.page_token, "") if request.page_token else None
    found = asked.runs.page(before, size + 1)
    response = api.ListRunsResponse(runs=[_told(each, asked) for each in found[:size]])
    if len(found) > size:
        response.next_page_token = page_token("", found[size - 1].run.number)
    return response


def _answer(data: bytes, call: Call) -> bytes:
    run, batch = batch_of(data)
    return rows_bytes(_engine(run, call).answers(batch))


RUN_TASKS[ANSWER] = _answer
_engines: OrderedDict[tuple[str, str], Engine] = OrderedDict()


def _engine(run: dict[str, str], call: Call) -> Engine:
    """The engine for a run's catalogue and base question; the last few are kept, with all they have prepared."""
    key = run["library_sha256"], run["question_sha256"]
    if key not in _engines:
        with _opened(_config(call)) as store:
            held = store.run(run["run_id"])
            engine = Engine(library_of(store.snapshot(held.library_sha256)), json.loads(held.question))
        while len(_engines) >= _ENGINES:
            _engines.popitem(last=False)
        _engines[key] = engine
    _engines.move_to_end(key)
    return _engines[key]


def _config(call: Call) -> RunsConfig:
    if call.runs is None:
        raise SolverFailure("this server keeps no runs")
    return RunsConfig(**call.runs)


def _opened(config: RunsConfig) -> Store:
    try:
        return Store(Path(config.store), must_exist=True)
    except InvalidProblem as error:  # our own store, nothing the caller could mend
        raise SolverFailure(str(error)) from None


def _told(found: Submission, asked: _Asked) -> api.Run:
    return run_message(found, asked.runs.store.counts(found.run))


def _required(value: str, field: str) -> str:
    if not value:
        raise InvalidProblem.of(field, None, "is required")
    return value


def _size(request: api.ListRunResultsRequest | api.ListRunsRequest) -> int:
    size = request.page_size if request.HasField("page_size") else PAGE
    if not 1 <= size <= MOST_IN_PAGE:
        raise InvalidProblem.of("page_size", size, f"must be between 1 and {MOST_IN_PAGE:,}")
    return size
