"""The verbs of a `Vq` that only the API has: names of assistants, and an archive of its calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vapi_frames.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from os import PathLike

    import pandas as pd

    from vapi_frames.query.spec import ProgressOption
    from vapi_frames.sources import Source
    from vapi_frames.sources.archive.archive import ArchiveSummary
    from vapi_frames.sources.http.connection import Connection

__all__ = ["ApiVerbs"]


class ApiVerbs:
    """What a `Vq` of the API can do beside queries."""

    _assistants: tuple[str, dict[str, str]] | None = None
    _names: Mapping[str, str] | None = None  # of a source that knows them itself

    if TYPE_CHECKING:  # what a Vq has

        @property
        def source(self) -> Source: ...  # noqa: D102 - documented at Vq
        def now(self) -> datetime: ...  # noqa: D102 - documented at Vq

    def assistants(self) -> pd.Series[str]:
        """Return the names of the organization's assistants by id, for ``df.vapi.label``; they are fetched once.

        The sample of `vapi_frames.demo` has names, too. The series is empty for a key that may not list them, with a
        `ResponseWarning`. It lacks assistants without a name, and those that were deleted.

        Raises:
            QueryError: This vq does not fetch from the API, nor from the sample.
            SourceError: There was no reply, or the vq is closed.
            ResponseError: The reply is not a list of assistants.

        Examples:
            >>> import vapi_frames as vf
            >>> vf.demo().assistants().tolist()
            ['Reception', 'Support', 'Sales', 'Reminders', 'Concierge']
        """
        import pandas as pd

        self.now()  # raises if the vq is closed
        names = self._fetch_names() if self._names is None else self._names
        index = pd.Index(list(names), dtype="str", name="assistantId")
        return pd.Series(list(names.values()), index=index, dtype="str", name="assistantName")

    def _fetch_names(self) -> dict[str, str]:
        """Return id → name of the assistants that the API lists."""
        from vapi_frames.sources.api.assistants import assistants

        hint = "give .label(...) names of your own, {id: name}, or those of vf.connect().assistants()"
        connection = self._connection("names of assistants", hint)
        scope = connection.scope()
        known = self._assistants
        if known is None or known[0] != scope:  # the key in the environment may have changed
            found = assistants(connection, now=self.now())
            known = scope, found or {}
            self._assistants = None if found is None else known  # a refusal is tried again
        return known[1]

    def archive(
        self,
        folder: str | PathLike[str],
        *,
        since: object = None,
        until: object = None,
        transcripts: bool = False,
        recordings: bool = False,
        customers: bool = False,
        variables: bool = True,
        outputs: bool = True,
        progress: ProgressOption = None,
    ) -> ArchiveSummary:
        """Store call records of the API in *folder*, a Parquet file for each UTC day, for `vapi_frames.local`.

        A later run fetches the days that were not complete, and calls that changed. No transcript, message or phone
        number is stored unless you request it, or a variable or structured output of yours holds one.

        Args:
            folder: Where the files are; it is made where there is none.
            since: An instant of the first day, in UTC; by default of the first that is not complete, or 14 days ago.
            until: An instant after the start of the last day; by default now.
            transcripts: Keep transcripts, messages and summaries, too.
            recordings: Keep the addresses of recordings, too.
            customers: Keep numbers and names of customers, too.
            variables: Keep variables, which may name people; of a call at most 256, and 64 kB.
            outputs: Keep structured outputs and scorecards, which may name people, within the same limits.
            progress: As in `Query.fetch`; the pieces are days.

        Raises:
            QueryError: This vq does not fetch from the API, or an argument is wrong.
            SourceError: There was no reply; the days before are stored.
            ResponseError: A reply is not a list of calls; or a call could not be read, after all others were stored.
            RecordsError: Another run uses it, a file with a day's name is not of an archive, or a day is damaged.
            OSError: It cannot be written.

        Examples:
            >>> import vapi_frames as vf
            >>> vf.demo().archive("calls")
            Traceback (most recent call last):
            ...
            vapi_frames.errors.QueryError: only the API has calls to archive, and this vq fetches from ...
        """
        from vapi_frames.sources.archive.archive import archive
        from vapi_frames.sources.progress import showing

        connection = self._connection("calls to archive", "query its call records directly")
        with showing(progress):
            return archive(
                connection, folder, since=since, until=until, now=self.now(), transcripts=transcripts,
                recordings=recordings, customers=customers, variables=variables, outputs=outputs,
            )  # fmt: skip

    def _connection(self, what: str, hint: str) -> Connection:
        """Return the connection to the API, or raise `QueryError` if this vq has none."""
        from vapi_frames.sources.api.source import ApiSource

        found = self.source.client.connection if isinstance(self.source, ApiSource) else None
        if found is None:
            raise QueryError(f"only the API has {what}, and this vq fetches from {self.source!r}: {hint}")
        return found
