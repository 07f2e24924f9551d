"""Runs of what-if scenarios on a server, records in, records out: the calls of RunService.

    with Client("127.0.0.1:50051") as client:
        run = client.submit_scenarios("plan.yaml", Path("plan.yaml").read_bytes())
        for status in client.watch_run(run.run_id): ...
        rows, over = client.run_results(run.run_id)

`solver.sweep.follow.follow` puts all answers of a run into a store of one's own, whatever dies on the way.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import grpc

from solver.api.v1 import run_service_pb2 as api
from solver.catalog import Library
from solver.client.connection import Connection
from solver.sweep.follow import RunInput, RunStatus
from solver.sweep.scenario import Row
from solver.wire import base_message
from solver.wire.runs import row_of, status_of

_WATCH_S = 60.0
"""A watch is begun anew after so long: a connection that is dead without a word is noticed then."""


class RunCalls(Connection):
    """The calls of RunService."""

    def submit_scenarios(
        self,
        file_name: str,
        file: bytes,
        *,
        request_id: str | None = None,
        run_id: str | None = None,
        base: Mapping[str, Any] | None = None,
        library: Library | None = None,
        time_limit_s: float | None = None,
        frontiers: bool | None = None,
        timeout_s: float | None = None,
    ) -> RunStatus:
        """Begin a run.

        Args:
            file_name: name of the file; its ending says what it is.
            file: its bytes.
            request_id: an id of your own: the same id begins no second run. A new one if None.
            run_id: a name for the run; made of the file's name and the time if None.
            base: the base question with the keys of question files, in place of the file's own.
            library: the catalogue to send along; the server's if None.
            time_limit_s: longest search for one scenario; the server has a most.
            frontiers: False solves every scenario by itself.
            timeout_s: deadline of the call, seconds.

        Raises:
            InvalidProblem: the file or the base question is wrong as a whole.
            ServerUnavailable: no server, no room for another run, no access, or it keeps no runs.
            SolverFailure: the server failed.
        """
        request = api.SubmitScenariosRequest(
            request_id=request_id or uuid.uuid4().hex,
            run_id=run_id,
            file_name=file_name,
            file=file,
            options=api.RunOptions(time_limit_s=time_limit_s, frontiers=frontiers),
        )
        if base is not None or library is not None:
            request.base.CopyFrom(base_message(base or {}, library))
        return status_of(self._call(self._runs.SubmitScenarios, request, timeout_s).run)

    def get_run(self, run_id: str) -> RunStatus:
        """How far a run is.

        Raises:
            UnknownName: there is none of that name.
        """
        return status_of(self._call(self._runs.GetRun, api.GetRunRequest(run_id=run_id)).run)

    def run_input(self, run_id: str) -> RunInput:
        """All that the answers of a run depend on; raises as `get_run` does."""
        sent = self._call(self._runs.GetRun, api.GetRunRequest(run_id=run_id, with_input=True)).input
        return RunInput(sent.file, sent.question_json, sent.library_json)

    def watch_run(self, run_id: str) -> Iterator[RunStatus]:
        """How a run goes on, some twice a second; the last state is final. Close the iterator to stop.

        Raises:
            UnknownName: there is none of that name.
            ServerUnavailable: the server is away; the run goes on, so watch again.
        """
        while True:
            call = self._runs.WatchRun(api.WatchRunRequest(run_id=run_id), timeout=_WATCH_S, metadata=self._metadata)
            heard = False
            try:
                for event in call:
                    heard = True
                    yield status_of(event.run, event)
                return
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and heard:
                    continue
                raise self._failure(error) from None
            finally:
                call.cancel()

    def run_results(self, run_id: str, after: int = 0, page_size: int = 1000) -> tuple[list[Row], bool]:
        """Answers behind a place in the file, in order; and whether the run is over and nothing follows them.

        Args:
            run_id: the run.
            after: the position of the last answer there is; 0 for none.
            page_size: most answers, 1 to 1,000.

        Raises:
            UnknownName: there is none of that name.
        """
        request = api.ListRunResultsRequest(run_id=run_id, page_size=page_size, after_position=after)
        page = self._call(self._runs.ListRunResults, request)
        return [row_of(result) for result in page.results], not page.HasField("next_page_token")

    def cancel_run(self, run_id: str) -> RunStatus:
        """End a run; nothing is added to it after this returns. Raises as `get_run` does."""
        return status_of(self._call(self._runs.CancelRun, api.CancelRunRequest(run_id=run_id)).run)

    def list_runs(self) -> Iterator[RunStatus]:
        """All runs, latest first."""
        token: str | None = None
        while True:
            page = self._call(self._runs.ListRuns, api.ListRunsRequest(page_size=1000, page_token=token))
            yield from map(status_of, page.runs)
            if not page.HasField("next_page_token"):
                return
            token = page.next_page_token
