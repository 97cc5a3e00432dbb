"""``usage`` and ``usage workers``."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fal_serverless import keys
from fal_serverless.aws.insights import Insights
from fal_serverless.aws.key_uses import KEPT_DAYS
from fal_serverless.aws.metrics import LambdaMetrics
from fal_serverless.cli import render
from fal_serverless.cli.context import connect, settings_of
from fal_serverless.errors import UsageError
from fal_serverless.usage import collect, model
from fal_serverless.usage import prices as price_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fal_serverless.usage.collect import Source, Sources
    from fal_serverless.usage.model import Row, Window
    from fal_serverless.workspace import Workspace

app = typer.Typer(invoke_without_command=True)
PERCENTILES = ("p50 ms", "p95 ms", "p99 ms")
Since = Annotated[str, typer.Option(help="How far back, such as 2h, 7d or 4w.")]
From = Annotated[
    str,
    typer.Option(
        "--source",
        help="metrics: CloudWatch and Logs Insights; log: every request's lines are read. "
        "Left out: metrics in AWS, log on the embedded stack.",
    ),
]


@app.callback()
def show(
    ctx: typer.Context,
    since: Since = "7d",
    source: From = "",
    prices: Annotated[
        str, typer.Option(help="File of prices, asked before our own.", envvar="FAL_PRICES")
    ] = "",
    no_cost: Annotated[bool, typer.Option("--no-cost", help="Leave the cost out.")] = False,
) -> None:
    """Show what aliases and keys did, and about what it costs."""
    if ctx.invoked_subcommand:
        _nothing_before(ctx)
        return
    now = time.time()
    window = _window(since, now)
    settings = settings_of(ctx)
    chosen = collect.check_source(source, local=settings.local)
    space = connect(ctx)
    region = space.session.region
    table, as_of = None, ""
    if not no_cost:
        table, as_of = price_table.load(region, Path(prices) if prices else None)
    rows = collect.usage(sources_of(space), space.user, window, table, chosen)
    used = _keys(space, window, now)
    notes = _notes(space, window, chosen, as_of, region)
    if settings.json:
        named = {"region": region, "as_of": as_of, "currency": "USD"} if as_of else None
        render.document(
            {
                "since": render.moment(window.start),
                "until": render.moment(window.end),
                "period_s": window.period,
                "source": chosen,
                "prices": named,
                "aliases": [_described(row) for row in rows],
                "total": _total(rows),
                "keys": used,
                "notes": notes,
            }
        )
        return
    _draw(rows, used, since, priced=not no_cost)
    for note in notes:
        render.note(note)


@app.command()
def workers(ctx: typer.Context, since: Since = "7d", source: From = "") -> None:
    """Show the environments of each function: how many ran at a time, and which are kept."""
    window = _window(since, time.time())
    settings = settings_of(ctx)
    chosen = collect.check_source(source, local=settings.local)
    space = connect(ctx)
    found = collect.workers(sources_of(space), space.user, window, chosen)
    if settings.json:
        render.document(
            {
                "since": render.moment(window.start),
                "until": render.moment(window.end),
                "source": chosen,
                "unreserved": space.functions.unreserved(),
                "workers": [
                    {
                        **asdict(worker),
                        "provisioned": {
                            name: {"ready": ready, "wanted": wanted}
                            for name, (ready, wanted) in worker.provisioned.items()
                        },
                    }
                    for worker in found
                ],
            }
        )
        return
    render.table(
        ("name", "function", "peak", "reserved", "provisioned", "cold_starts"),
        [
            {
                "name": worker.name,
                "function": worker.function,
                "peak": _known(worker.peak),
                "reserved": "-" if worker.reserved is None else worker.reserved,
                "provisioned": ", ".join(
                    f"{name}: {ready} of {wanted}"
                    for name, (ready, wanted) in worker.provisioned.items()
                )
                or "-",
                "cold_starts": _known(worker.cold_starts),
            }
            for worker in found
        ],
        "There are no functions.",
    )
    render.note(f"{space.functions.unreserved()} concurrent executions are reserved by nobody.")
    render.note(_origin(chosen))


def sources_of(space: Workspace) -> Sources:
    """What is asked, for a stack."""
    return collect.Sources(
        registry=space.registry,
        functions=space.functions,
        logs=space.logs,
        metrics=LambdaMetrics(space.session.client("cloudwatch")),
        insights=Insights(space.session.client("logs")),
    )


def _nothing_before(ctx: typer.Context) -> None:
    """Options before a command of the group would be options of nothing."""
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    given = [name for name, found in sources.items() if found and found.name == "COMMANDLINE"]
    if given:
        flag = f"--{given[0].replace('_', '-')}"
        raise UsageError(
            f"{flag} stands before '{ctx.invoked_subcommand}'.",
            reason="there it is an option of 'usage' alone",
            hint=f"see: fal-serverless usage {ctx.invoked_subcommand} --help",
        )


def _window(since: str, now: float) -> Window:
    seconds = keys.parse_duration(since)
    if seconds > model.KEPT_S:
        raise UsageError(
            f"Usage does not reach back {since}.",
            reason=f"CloudWatch keeps metrics for {model.KEPT_S // model.DAY_S} days",
            hint="ask for less, for example --since 30d",
        )
    return model.window(now - seconds, now)


def _keys(space: Workspace, window: Window, now: float) -> list[dict[str, Any]]:
    listed = space.registry.keys(space.user)
    used = space.key_uses.read((item["key_id"] for item in listed), _counted(window), window.end)
    return [
        {
            "key_id": item["key_id"],
            "alias": item.get("alias", ""),
            "state": keys.state(item.get("expires_at"), item.get("revoked_at"), now),
            "requests": used[item["key_id"]].requests,
            "errors": used[item["key_id"]].errors,
            "last_used": render.moment(used[item["key_id"]].last),
        }
        for item in listed
    ]


def _counted(window: Window) -> int:
    """Since when the use of keys is known, at the earliest."""
    return max(window.start, window.end - KEPT_DAYS * model.DAY_S)


def _described(row: Row) -> dict[str, Any]:
    return {
        "alias": row.label,
        "requests": row.requests,
        "errors": row.errors,
        "throttled": row.throttled,
        "cold_starts": row.cold_starts,
        "p50_ms": row.p50,
        "p95_ms": row.p95,
        "p99_ms": row.p99,
        "gb_seconds": row.gb_seconds,
        "estimated_cost": row.cost,
        "over_time": row.over_time,
        "not_exact": dict(row.marks),
    }


def _total(rows: Sequence[Row]) -> dict[str, Any]:
    columns: dict[str, list[float | None]] = {
        "requests": [row.requests for row in rows],
        "errors": [row.errors for row in rows],
        "throttled": [row.throttled for row in rows],
        "cold_starts": [row.cold_starts for row in rows],
        "gb_seconds": [row.gb_seconds for row in rows],
        "estimated_cost": [row.cost for row in rows],
    }
    return {
        name: None if None in values else sum(value or 0 for value in values)
        for name, values in columns.items()
    }


def _draw(
    rows: Sequence[Row], used: Sequence[Mapping[str, Any]], since: str, *, priced: bool
) -> None:
    counts = ("requests", "errors", "throttled", "cold starts")
    cost = ("cost (estimated)",) if priced else ()
    columns = ("alias", *counts, *PERCENTILES, "GB-s", *cost, "over time")
    drawn = [_cells(row) for row in rows]
    if len(rows) > 1:
        total = _total(rows)
        over_time = [sum(counts) for counts in zip(*(row.over_time for row in rows), strict=True)]
        sums = {name: _known(total[name]) for name in ("requests", "errors", "throttled")}
        drawn.append(
            {
                **sums,
                "alias": "total",
                "cold starts": _known(total["cold_starts"]),
                **dict.fromkeys(PERCENTILES, ""),
                "GB-s": _known(total["gb_seconds"], ".3f"),
                "cost (estimated)": _dollars(total["estimated_cost"]),
                "over time": model.bars(over_time),
            }
        )
    render.table(columns, drawn, f"There are no aliases, and nothing ran in the last {since}.")
    busy = [row for row in used if row["requests"]]
    if busy:
        render.line("")
        render.table(("key_id", "alias", "state", "requests", "errors", "last_used"), busy, "")


def _cells(row: Row) -> dict[str, object]:
    def marked(name: str, text: str) -> str:
        return row.marks.get(name, "") + text

    return {
        "alias": row.label,
        "requests": _known(row.requests),
        "errors": _known(row.errors),
        "throttled": _known(row.throttled),
        "cold starts": _known(row.cold_starts),
        "p50 ms": marked("p50", _known(row.p50, ".0f") if row.requests else "-"),
        "p95 ms": marked("p95", _known(row.p95, ".0f") if row.requests else "-"),
        "p99 ms": marked("p99", _known(row.p99, ".0f") if row.requests else "-"),
        "GB-s": marked("gb_seconds", _known(row.gb_seconds, ".3f")),
        "cost (estimated)": _dollars(row.cost),
        "over time": model.bars(row.over_time),
    }


def _known(value: float | None, form: str = "") -> str:
    return "unknown" if value is None else format(value, form)


def _dollars(value: float | None) -> str:
    """Dollars, and small amounts of them in full."""
    if value is None:
        return "unknown"
    if 0 < value < 0.000001:
        return "<$0.000001"
    return f"${value:.2f}" if value >= 1 or not value else f"${value:.6f}"


def _origin(source: Source) -> str:
    if source == "log":
        return "From the log: each request's lines were read."
    return "From CloudWatch's metrics and the log; the last few minutes may be missing."


def _notes(space: Workspace, window: Window, source: Source, as_of: str, region: str) -> list[str]:
    notes = [_origin(source)]
    if as_of:
        what = "What AWS would ask" if space.local else "Cost"
        notes.append(
            f"{what} by public prices of {as_of} in {region}, estimated: Lambda alone, first tier, "
            "no free tier or discount subtracted."
        )
    days = space.outputs.log_days
    if window.end - window.start > days * model.DAY_S:
        notes.append(f"Logs are kept for {days} days: what comes from them is missing before that.")
    first = render.moment(_counted(window)) or ""
    notes.append(f"Keys: at least so many, in whole days (UTC) since {first[:10]}.")
    return notes
