"""What a store counts about its own commits: totals and peaks since it was opened, shared by both stores."""

from collections.abc import Mapping

from stagewheel.server.store.base import Statistics
from stagewheel.server.store.tables import Table


class CommitCounts:
    __slots__ = (
        "commit_count",
        "commit_us_peak",
        "commit_us_total",
        "rows_applied_count",
        "rows_applied_peak",
    )

    def __init__(self) -> None:
        self.commit_count = 0
        self.commit_us_total = 0
        self.commit_us_peak = 0
        self.rows_applied_count = 0
        self.rows_applied_peak = 0

    def add(self, row_count: int, took_us: int) -> None:
        """One commit of so many rows, and how long it took."""
        self.commit_count += 1
        self.commit_us_total += took_us
        if took_us > self.commit_us_peak:
            self.commit_us_peak = took_us
        self.rows_applied_count += row_count
        if row_count > self.rows_applied_peak:
            self.rows_applied_peak = row_count

    def record(
        self,
        rows: Mapping[Table, int],
        *,
        used_bytes: int,
        map_bytes: int,
        free_bytes: int,
        last_transaction: int,
        overlay: tuple[int, int] = (0, 0),
    ) -> Statistics:
        """The frozen record, with what only the store itself knows."""
        return Statistics(
            rows=rows,
            used_bytes=used_bytes,
            map_bytes=map_bytes,
            free_bytes=free_bytes,
            last_transaction=last_transaction,
            commit_count=self.commit_count,
            commit_us_total=self.commit_us_total,
            commit_us_peak=self.commit_us_peak,
            rows_applied_count=self.rows_applied_count,
            rows_applied_peak=self.rows_applied_peak,
            overlay_rows=overlay[0],
            overlay_rows_peak=overlay[1],
        )
