"""What a type checker and an editor see; checked by mypy and pyright, never run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, assert_type

    import pandas as pd
    import polars as pl
    import pyarrow as pa
    from pandas.io.formats.style import Styler

    import vapi_frames as vf
    from vapi_frames import vq
    from vapi_frames.contract.models import AnalyticsQueryDTO
    from vapi_frames.contract.vocabulary import CallColumn, SubscriptionColumn
    from vapi_frames.frames.meta import Meta
    from vapi_frames.interface.result_frame import ResultFrame
    from vapi_frames.query.lint import Finding, Plan
    from vapi_frames.sources.archive.archive import ArchiveSummary

    calls = vq.call()
    assert_type(calls, vf.Query[CallColumn])
    assert_type(vq.subscription(), vf.Query[SubscriptionColumn])
    q = calls.sum("cost").avg("duration").mean("cost").count().min("cost").max("cost", alias="dearest").history("cost")
    q = q.median("cost", "duration").quantile("duration", 0.95, alias="slow").nunique("assistantId", "variable.plan")
    assert_type(
        q.agg(x=("duration", "quantile", 0.9), y=("type", "nunique"), z=("cost", "median")), vf.Query[CallColumn]
    )
    q = q.by("assistantId", "endedReason").by_variable("plan").step("day").last("30d", complete=True)
    q = q.between("2026-10-01", None).during("2026-10").since("2026-10-01").tz("UTC").named("x").with_counts()
    assert_type(q, vf.Query[CallColumn])
    assert_type(q.agg(spend=("cost", "sum"), minutes=("duration", "mean")), vf.Query[CallColumn])
    assert_type(
        q.where({"variable.plan": ["pro", None]}, assistantId="a", status={"ended", "queued"}), vf.Query[CallColumn]
    )
    assert_type(
        q.by("phoneNumberId").by_output("CSAT").avg("turnLatency").sum("costBreakdown.chat"), vf.Query[CallColumn]
    )
    assert_type(q.agg(slow=("modelLatency", "quantile", 0.95), calls=("squadId", "nunique")), vf.Query[CallColumn])
    csat = vf.output("CSAT")
    assert_type(q.avg(csat, "cost").quantile(csat, 0.9).nunique(csat).where({csat: [4, None]}), vf.Query[CallColumn])
    assert_type(q.agg(csat=(csat, "mean"), slow=(vf.output("Survey.score"), "quantile", 0.95)), vf.Query[CallColumn])
    assert_type(q.where(type=("webCall", None), endedReason=None, assistantId=True), vf.Query[CallColumn])
    assert_type(q.body(), dict[str, Any])
    assert_type(q.dto(), AnalyticsQueryDTO)
    assert_type(q.lint(), list[Finding])
    assert_type(q.explain(), Plan)
    assert_type(q.curl(), str)
    assert_type(vf.Query.from_body({}), vf.Query[str])
    assert_type(q.fetch(dtype_backend="pyarrow", categorical=True), pd.DataFrame)
    assert_type(q.to_polars(), pl.DataFrame)
    assert_type(q.drill(["cost", "artifact.transcript"], limit=None), pd.DataFrame)
    assert_type(vq.drill(q), pd.DataFrame)
    assert_type(vf.to_excel("spend.xlsx", {"spend": q.fetch()}), None)
    assert_type(vq.fetch(q, vq.subscription().max("concurrency")), dict[str, pd.DataFrame])
    assert_type(vf.connect("key", base_url="https://example.org", timeout=3), vf.Vq)
    assert_type(vf.local("calls/*.parquet"), vf.Vq)
    assert_type(vf.local([{"id": "1"}], now="2026-10-01T00:00Z"), vf.Vq)
    assert_type(vf.local("calls", duplicates="first", on_error="skip"), vf.Vq)
    assert_type(vf.demo(), vf.Vq)
    assert_type(vf.record("recordings"), vf.Vq)
    assert_type(vf.record("recordings", vf.demo(), now="2026-10-01T00:00Z"), vf.Vq)
    assert_type(vf.replay("recordings"), vf.Vq)
    assert_type(vf.warehouse(object(), ("a", "b"), dialect="spark", columns={"cost": ("a", "b"), "id": "c"}), vf.Vq)
    assert_type(vf.sample_calls(10, seed=1), pd.DataFrame)
    df = vf.to_frame(b"[]", q)
    assert_type(df, pd.DataFrame)
    face = vf.frame(df)
    assert_type(face, vf.VapiAccessor)
    assert_type(face.meta, Meta)
    assert_type(face.units, dict[str, str])
    assert_type(face.wide("cost"), ResultFrame[vf.VapiAccessor])
    assert_type(face.rollup("all", by=[]), ResultFrame[vf.VapiAccessor])
    assert_type(face.fill_gaps(mark=True, concurrency="carry", whole=True), ResultFrame[vf.VapiAccessor])
    assert_type(face.drop_partial(), ResultFrame[vf.VapiAccessor])
    assert_type(face.top(3, by="cost", of="type", other=False), ResultFrame[vf.VapiAccessor])
    assert_type(face.share("cost", within="date"), ResultFrame[vf.VapiAccessor])
    assert_type(face.ratio("cost", "duration", name="rate"), ResultFrame[vf.VapiAccessor])
    assert_type(face.per_minute(), ResultFrame[vf.VapiAccessor])
    assert_type(face.per_call("duration"), ResultFrame[vf.VapiAccessor])
    assert_type(face.success_rate(of="calls", success=["7", "8"]), ResultFrame[vf.VapiAccessor])
    assert_type(face.outcome_rate(["answered", "contained"]), ResultFrame[vf.VapiAccessor])
    assert_type(
        face.typical_week(["weekday", "open"], hours=("09:00", "17:00"), days=["Mon"]), ResultFrame[vf.VapiAccessor]
    )
    assert_type(face.change(7, columns="cost"), ResultFrame[vf.VapiAccessor])
    assert_type(face.outcome("fault"), ResultFrame[vf.VapiAccessor])
    assert_type(face.label({"id": "name"}), ResultFrame[vf.VapiAccessor])
    assert_type(face.reconcile(), ResultFrame[vf.VapiAccessor])
    assert_type(face.rollup("week").vapi.per_call().vapi.top(3, by="sumCostPerCall").vapi.units, dict[str, str])
    assert_type(q.fetch(as_index=False), pd.DataFrame)
    assert_type(face.refresh(), ResultFrame[vf.VapiAccessor])
    assert_type(face.refresh(vq).vapi.rollup("week").vapi.units, dict[str, str])
    assert_type(face.drill(vq, ["cost"], limit=None).vapi.call(), vf.Query[CallColumn])
    assert_type(face.check_units(df), float)
    assert_type(face.describe(), str)
    assert_type(face.explain("sumCost"), str)
    assert_type(face.with_units(), pd.DataFrame)
    assert_type(face.style("Spend"), Styler)
    assert_type(face.for_excel(), pd.DataFrame)
    assert_type(face.query, vf.Query[Any])
    assert_type(face.subscription(), vf.Query[SubscriptionColumn])
    assert_type(vf.load("spend.parquet"), pd.DataFrame)
    assert_type(vf.analysis.rollup(df, "week"), pd.DataFrame)
    assert_type(df.pipe(vf.analysis.share, "cost"), pd.DataFrame)
    assert_type(df.pipe(vf.analysis.for_excel), pd.DataFrame)
    assert_type(vf.analysis.style(df, caption="Spend"), Styler)
    assert_type(vf.analysis.outcome(df, "fault"), pd.DataFrame)
    assert_type(q.compare("7d", align="weekday"), vf.Comparison)
    assert_type(q.compare().fetch(dtype_backend="pyarrow"), pd.DataFrame)
    assert_type(q.compare().to_polars(), pl.DataFrame)
    assert_type(q.compare("1y").body(), dict[str, Any])
    assert_type(q.by("type").sum("cost").named("n").tz("UTC").where(type="webCall"), vf.Query[CallColumn])
    assert_type(vq.subscription().max("concurrency").step("day").last("3d"), vf.Query[SubscriptionColumn])
    assert_type(q.__arrow_c_stream__(), object)
    pl.DataFrame(q)  # what these take has __arrow_c_stream__
    pl.DataFrame(q.compare())
    pa.table(q)
    pa.schema(q)
    assert_type(vq.dashboard("4w", step="week", complete=True), dict[str, pd.DataFrame])
    assert_type(vq.archive("calls", since="2026-10-01", transcripts=True, progress=False), ArchiveSummary)
    assert_type(vq.archive("calls", variables=False, outputs=False, customers=True), ArchiveSummary)
    assert_type(face.label(vq.assistants()), ResultFrame[vf.VapiAccessor])
    assert_type(face.call(), vf.Query[CallColumn])

    # What must not pass: each line is an error, and an unused ignore would be one too.
    calls.sum("costs")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    calls.avg("cost", "output.CSAT")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    calls.median("concurrency")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    calls.max("concurrency")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    vq.subscription().sum("cost")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    calls.step("daily")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    face.outcome("blame")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    face.rollup("week").vapi.per_cal()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    face.per_call().vapi.rollup("weekly")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    face.rollup("weekly")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    q.compare(align="days")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    vf.local("calls", duplicates="last")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    vf.local("calls", on_error="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    calls.agg(spend=("costs", "sum"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    calls.agg(spend=("cost", "total"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    calls.where(type=3.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    calls.fetch(dtype_backend="arrow")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    vq.subscription().max("duration")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    vq.dashboard(step="daily")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    face.fill_gaps(concurrency="zero")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    face.typical_week("month")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    face.outcome_rate("won")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    face.success_rate(of="all")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    face.style(caption=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    vf.analysis.rollup(df, "weekly")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    vf.analysis.outcome(df, "blame")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    vf.analysis.success_rate(df, of="all")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    vf.analysis.fill_gaps(df, concurrency="zero")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    calls.by("assistant")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    calls.groupby("type")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    calls.where(typ="webCall")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    calls.where(assistant="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
