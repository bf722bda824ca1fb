#!/usr/bin/env python3
"""Draws the rendered dashboards with real data, for looking at them where no Grafana runs.

Each panel's own queries go to a running Prometheus, Loki and Tempo, with Grafana's variables replaced as Grafana does. One HTML page
per dashboard shows the results on Grafana's grid, with titles, units, thresholds and legends. It is a sketch: colors and fonts are
not Grafana's, and what a panel shows is less than Grafana would. A query that fails is shown as an error and makes the exit code 1.

usage: sketch.py [--out DIRECTORY] [--prometheus URL] [--loki URL] [--tempo URL] [--range 3h] [--set NAME=VALUE] [DASHBOARD.json ...]

Without arguments it draws every dashboard into target/sketches from stores at their usual ports of this machine, and says which of
them do not answer. Where Chromium is installed, each page becomes a screenshot too.
"""

import argparse
import json
import math
import pathlib
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from html import escape

CELL_WIDTH, CELL_HEIGHT, GAP = 76, 30, 8
GRID_WIDTH = 24 * CELL_WIDTH
# Export interval of the collector, as in deploy/grafana/provisioning.
SCRAPE_INTERVAL = 15
COLORS = {"green": "#73BF69", "yellow": "#FADE2A", "orange": "#FF9830", "red": "#F2495C", "blue": "#5794F2",
          "purple": "#B877D9", "text": "#9fa7b3"}
PALETTE = ["#7EB26D", "#EAB839", "#6ED0E0", "#EF843C", "#E24D42", "#1F78C1", "#BA43A9", "#705DA0", "#508642", "#CCA300",
           "#447EBC", "#C15C17", "#890F02", "#0A437C", "#6D1F62", "#584477"]
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def seconds(text):
    number, unit = re.fullmatch(r"(?:now-)?(\d+)([smhdw])", text).groups()
    return int(number) * SECONDS[unit]


def fetch(base, path, parameters):
    """The JSON response, or an exception that says what the store complained of."""
    url = f"{base}{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{error.code}: {error.read().decode(errors='replace')[:300]}") from error
    except OSError as error:
        raise RuntimeError(f"{base} does not answer: {error}") from error


class Times:
    """What a panel of a dashboard looks at, as Grafana derives it."""

    def __init__(self, panel, dashboard, arguments):
        length = seconds(panel.get("timeFrom") or arguments.range or dashboard["time"]["from"])
        self.end = int(time.time())
        self.start = self.end - length
        points = max(60, panel["gridPos"]["w"] * CELL_WIDTH)
        self.step = max(round_interval(length / points), seconds(panel["interval"]) if "interval" in panel else 0, SCRAPE_INTERVAL)
        self.start -= self.start % self.step
        self.length = length
        self.variables = {one["name"]: one.get("allValue", "") for one in dashboard["templating"]["list"]}
        self.variables.update(one.split("=", 1) for one in arguments.set)

    def fill_in(self, query):
        rate = max(self.step + SCRAPE_INTERVAL, 4 * SCRAPE_INTERVAL)
        for name, value in (("$__rate_interval", f"{rate}s"), ("$__interval_ms", str(self.step * 1000)), ("$__auto", f"{self.step}s"),
                            ("$__range", f"{self.length}s")):
            query = query.replace(name, value)
        for name, value in self.variables.items():
            for form in (f"${{{name}:regex}}", f"${{{name}:pipe}}", f"${{{name}}}", f"${name}"):
                query = query.replace(form, value)
        return query


def round_interval(length):
    steps = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400]
    return next((step for step in steps if step >= length), 86400)


def legend(template, labels):
    if template:
        return re.sub(r"\{\{\s*([\w.]+)\s*\}\}", lambda match: labels.get(match.group(1), ""), template).strip() or "(none)"
    return ", ".join(f"{key}={value}" for key, value in labels.items() if key != "__name__") or "value"


def ask_prometheus(target, times, arguments):
    """Series of a target: names, labels and points; an instant query has one point each."""
    query = times.fill_in(target["expr"])
    if target.get("instant"):
        response = fetch(arguments.prometheus, "/api/v1/query", {"query": query, "time": times.end})
    else:
        response = fetch(arguments.prometheus, "/api/v1/query_range",
                       {"query": query, "start": times.start, "end": times.end, "step": times.step})
    return [series(target, one) for one in response["data"]["result"]]


def series(target, one):
    if "histograms" in one:
        points = [(float(at), histogram.get("buckets", [])) for at, histogram in one["histograms"]]
    else:
        points = one.get("values") or [one["value"]]
        points = [(float(at), float(value)) for at, value in points]
    return {"name": legend(target.get("legendFormat"), one["metric"]), "labels": one["metric"], "points": points,
            "target": target["refId"]}


def ask_loki(target, times, arguments):
    query = times.fill_in(target["expr"])
    if target["queryType"] == "instant":
        response = fetch(arguments.loki, "/loki/api/v1/query", {"query": query, "time": times.end})
    else:
        response = fetch(arguments.loki, "/loki/api/v1/query_range",
                       {"query": query, "start": times.start, "end": times.end, "step": times.step,
                        "limit": target.get("maxLines", 100)})
    data = response["data"]
    if data["resultType"] == "streams":
        lines = [(int(line[0]) / 1e9, line[1], stream["stream"]) for stream in data["result"] for line in stream["values"]]
        return sorted(lines, key=lambda line: -line[0])
    return [series(target, one) for one in data["result"]]


def ask_tempo(target, times, arguments):
    response = fetch(arguments.tempo, "/api/search",
                   {"q": times.fill_in(target["query"]), "start": times.start, "end": times.end, "limit": target.get("limit", 20)})
    return response.get("traces", [])


def shorten(value, digits=None):
    """A number with about three digits, as Grafana shows it without decimals being set."""
    if digits is None:
        digits = 0 if value == round(value) or abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text and digits > 2 else text


def scaled(value, steps, digits):
    for factor, suffix in steps:
        if abs(value) >= factor:
            return f"{shorten(value / factor, digits)}{suffix}"
    return f"{shorten(value, digits)}{steps[-1][1] if steps[-1][0] <= 1 else ''}"


def show(value, unit, decimals=None):
    if value is None or math.isnan(value):
        return "–"
    if unit == "s":
        if value == 0:
            return "0 s"
        units = ((604800, " weeks"), (86400, " days"), (3600, " hours"), (60, " mins"), (1, " s"), (1e-3, " ms"), (1e-6, " µs"))
        for factor, suffix in units:
            if abs(value) >= factor:
                return f"{shorten(value / factor, decimals if factor >= 1 else None)}{suffix}"
        return f"{value * 1e9:.0f} ns"
    if unit == "dtdurations":
        whole, parts = int(max(value, 0)), []
        for factor, suffix in ((604800, "w"), (86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
            if whole >= factor and len(parts) < 2:
                parts.append(f"{whole // factor}{suffix}")
                whole %= factor
        return " ".join(parts) or "0s"
    if unit == "percentunit":
        return f"{shorten(value * 100, decimals)}%"
    if unit in ("bytes", "binBps"):
        suffix = "/s" if unit == "binBps" else ""
        return scaled(value, ((2**30, " GiB"), (2**20, " MiB"), (2**10, " KiB"), (1, " B")), decimals) + suffix
    if unit in ("reqps", "ops"):
        return f"{shorten(value, decimals)} {'req/s' if unit == 'reqps' else 'ops/s'}"
    if unit and unit.startswith("suffix:"):
        return f"{shorten(value, decimals)}{unit[7:]}"
    return scaled(value, ((1e9, " Bil"), (1e6, " Mil"), (1e3, " K"), (1, "")), decimals) if unit == "short" else shorten(value, decimals)


def rectangle(x, y, width, height, color, opacity=1.0):
    size = f"width={max(0, width):.1f} height={max(0, height):.1f}"
    return f"<rect x={x:.1f} y={y:.1f} {size} fill='{color}' opacity={opacity:.2f} />"


def label(x, y, text, anchor="start"):
    return f"<text x={x:.0f} y={y:.1f} text-anchor={anchor}>{escape(text)}</text>"


def table_row(cells, kind="td"):
    """Cells are texts, or texts with the attributes of their cell."""
    pairs = [cell if isinstance(cell, tuple) else (cell, "") for cell in cells]
    return "<tr>" + "".join(f"<{kind}{attributes}>{text}</{kind}>" for text, attributes in pairs) + "</tr>"


def clock(at):
    return time.strftime("%H:%M:%S", time.localtime(at))


class Field:
    """The configuration of one series or column: the panel's, with what overrides it."""

    def __init__(self, panel, name):
        defaults = panel["fieldConfig"]["defaults"]
        self.values = dict(defaults)
        self.custom = dict(defaults.get("custom", {}))
        self.overridden = set()
        for override in panel["fieldConfig"]["overrides"]:
            matcher = override["matcher"]
            is_pattern = matcher["id"] == "byRegexp"
            if re.search(matcher["options"].strip("/"), name) if is_pattern else matcher["options"] == name:
                for one in override["properties"]:
                    if one["id"].startswith("custom."):
                        self.custom[one["id"][7:]] = one["value"]
                    else:
                        self.values[one["id"]] = one["value"]
                    self.overridden.add(one["id"])

    def text(self, value):
        for mapping in self.values.get("mappings", []):
            if mapping["type"] == "value" and value is not None and shorten(value) in mapping["options"]:
                return mapping["options"][shorten(value)]["text"]
            if mapping["type"] == "special" and (value is None or math.isnan(value)):
                return mapping["options"]["result"]["text"]
        return show(value, self.values.get("unit"), self.values.get("decimals"))

    def color(self, value, index=0):
        mode = self.values.get("color", {})
        if mode.get("mode") == "shades":
            # Grafana varies the color; here each series is slightly more transparent than the one
            # before.
            return COLORS.get(mode["fixedColor"], mode["fixedColor"]) + f"{max(0x60, 0xff - 0x28 * (index % 5)):02x}"
        if mode.get("mode") == "fixed":
            return COLORS.get(mode["fixedColor"], mode["fixedColor"])
        if mode.get("mode") == "thresholds":
            chosen = "green"
            for step in self.values["thresholds"]["steps"]:
                if step["value"] is None or (value is not None and value >= step["value"]):
                    chosen = step["color"]
            return COLORS.get(chosen, chosen)
        return PALETTE[index % len(PALETTE)]


def last(one):
    points = [value for _, value in one["points"] if not math.isnan(value)]
    return points[-1] if points else None


def draw_stat(panel, found, width, height):
    if not found:
        return nothing(panel)
    wide = width / max(1, len(found)) >= 90
    out = []
    for one in found:
        field = Field(panel, one["name"])
        value = last(one)
        text = one["name"] if panel["options"]["textMode"] == "name" else field.text(value)
        size = min(34, (width / len(found) if wide else width) / max(4, len(text)) * 1.5, height / (1 if wide else len(found)) * 0.45)
        name = f"<small>{escape(one['name'])}</small>" if len(found) > 1 and panel["options"]["textMode"] != "name" else ""
        out.append(f"<div style='flex:1;color:{field.color(value)};font-size:{size:.0f}px'>{name}<b>{escape(text)}</b></div>")
    return f"<div class=stat style='flex-direction:{'row' if wide else 'column'}'>{''.join(out)}</div>"


def draw_bars(panel, found, width, height):
    if not found:
        return nothing(panel)
    values = [last(one) or 0 for one in found]
    most = panel["fieldConfig"]["defaults"].get("max") or max(values) or 1
    row = max(12, min(24, height / len(found) - 4))
    out = []
    for one, value in zip(found, values):
        field = Field(panel, one["name"])
        part = max(0.5, min(100, 100 * value / most))
        bar = f"<div style='background:{field.color(last(one))};height:{row:.0f}px;width:{part:.1f}%'></div>"
        out.append(table_row([escape(one["name"]), (bar, " style='width:55%'"), (escape(field.text(last(one))), " align=right")]))
    overflow = "" if len(found) * (row + 4) <= height + 4 else "<p class=warn>does not fit</p>"
    return f"{overflow}<table class=bars>{''.join(out)}</table>"


def nothing(panel):
    text = panel["fieldConfig"]["defaults"].get("noValue", "No data")
    return f"<div class={'none' if text != 'No data' else 'nodata'}>{escape(text)}</div>"


def nice(top):
    if top <= 0 or math.isnan(top):
        return 1
    power = 10 ** math.floor(math.log10(top))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= top * 0.999)


def draw_chart(panel, found, times, width, height):
    if not any(one["points"] for one in found):
        return nothing(panel)
    shown = panel["options"]["legend"]
    beside = shown["placement"] == "right"
    legend_width = min(260, width * 0.4) if beside else 0
    names_length = sum(len(one["name"]) * 6.5 + 30 for one in found)
    rows = 0 if beside else min(3, math.ceil(names_length / (width - 10)))
    left, bottom, top = 52, 18, 6
    right = 50 if any(Field(panel, one["name"]).custom.get("axisPlacement") == "right" for one in found) else 8
    plot_width, plot_height = width - legend_width - left - right, height - rows * 17 - bottom - top
    names = sorted({one["name"] for one in found})
    stacks, drawn, tops = {}, [], {"left": 0.0, "right": 0.0}
    for one in found:
        field = Field(panel, one["name"])
        side = "right" if field.custom.get("axisPlacement") == "right" else "left"
        stacked = field.custom.get("stacking", {}).get("mode") == "normal"
        points = []
        for at, value in one["points"]:
            if math.isnan(value) or math.isinf(value):
                points.append((at, None, None))
                continue
            base = stacks.get(at, 0.0) if stacked else 0.0
            if stacked:
                stacks[at] = base + value
            points.append((at, base, base + value))
            tops[side] = max(tops[side], base + value)
        drawn.append((one, field, side, points))
    limits = []
    if panel["fieldConfig"]["defaults"].get("custom", {}).get("thresholdsStyle", {}).get("mode") == "dashed":
        limits = [step for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"] if step["value"] is not None]
    tops["left"] = max(tops["left"], panel["fieldConfig"]["defaults"].get("custom", {}).get("axisSoftMax", 0))
    most = {side: nice(value) for side, value in tops.items()}
    most["left"] = panel["fieldConfig"]["defaults"].get("max", most["left"])
    x = lambda at: left + (at - times.start) / max(1, times.end - times.start) * plot_width
    y = lambda value, side: top + plot_height * (1 - min(value, most[side] * 1.02) / most[side])
    svg = []
    default = Field(panel, "")
    for index in range(5):
        value = most["left"] * index / 4
        svg.append(f"<line x1={left} x2={left + plot_width:.0f} y1={y(value, 'left'):.1f} y2={y(value, 'left'):.1f} class=grid />")
        svg.append(label(left - 4, y(value, "left") + 4, show(value, default.values.get("unit")), "end"))
        if right > 8:
            unit = next(field.values.get("unit") for _, field, side, _ in drawn if side == "right")
            value = most["right"] * index / 4
            svg.append(label(left + plot_width + 4, y(value, "right") + 4, show(value, unit)))
    for index in range(5):
        at = times.start + (times.end - times.start) * index / 4
        spelled = time.strftime("%H:%M" if times.length <= 172800 else "%d.%m. %Hh", time.localtime(at))
        anchor = {0: "start", 4: "end"}.get(index, "middle")
        svg.append(label(x(at), height - rows * 17 - 4, spelled, anchor))
    for one, field, side, points in drawn:
        color = field.color(last(one), names.index(one["name"]))
        if field.custom.get("drawStyle") == "bars":
            bar = max(1, plot_width * times.step / (times.end - times.start) - 1)
            svg += [rectangle(max(left, x(at) - bar), y(high, side), x(at) - max(left, x(at) - bar), y(low, side) - y(high, side), color)
                    for at, low, high in points if high is not None and high > low]
        else:
            pieces, piece = [], []
            for at, low, high in points:
                if high is None:
                    pieces, piece = pieces + [piece], []
                else:
                    piece.append((x(at), y(low, side), y(high, side)))
            for piece in filter(None, pieces + [piece]):
                path = "L".join(f"{px:.1f} {high:.1f}" for px, _, high in piece)
                opacity = field.custom.get("fillOpacity", 0) / 100
                if opacity:
                    back = "L".join(f"{px:.1f} {low:.1f}" for px, low, _ in reversed(piece))
                    svg.append(f"<path d='M{path}L{back}Z' fill='{color}' opacity={opacity} />")
                if field.custom.get("lineWidth", 1):
                    svg.append(f"<path d='M{path}' stroke='{color}' fill=none stroke-width=1.3 />")
                if len(piece) == 1:
                    svg.append(f"<circle cx={piece[0][0]:.1f} cy={piece[0][2]:.1f} r=2 fill='{color}' />")
    for limit in limits:
        if limit["value"] <= most["left"]:
            svg.append(f"<line x1={left} x2={left + plot_width:.0f} y1={y(limit['value'], 'left'):.1f} y2={y(limit['value'], 'left'):.1f} "
                       f"stroke='{COLORS[limit['color']]}' stroke-dasharray='6 5' />")
    entries = []
    calculation = (shown["calcs"] or [None])[0]
    for one, field, _, points in drawn:
        clean = [value for _, value in one["points"] if not math.isnan(value)]
        number = {"sum": sum(clean), "max": max(clean, default=None), "lastNotNull": last(one)}.get(calculation)
        entries.append((number, one["name"], field.color(last(one), names.index(one["name"])), field))
    if calculation:
        entries.sort(key=lambda entry: -(entry[0] or 0))
    listed = []
    for number, name, color, field in entries:
        shown_number = f" <b>{escape(field.text(number))}</b>" if calculation else ""
        listed.append(f"<span><i style='background:{color}'></i>{escape(name)}{shown_number}</span>")
    place = f"bottom:4px;left:8px;height:{rows * 17}px"
    if beside:
        place = f"right:6px;top:26px;width:{legend_width - 8:.0f}px;flex-direction:column"
    many = f"<p class=warn>{len(found)} series</p>" if len(found) > 12 else ""
    return f"{many}<svg width={width:.0f} height={height:.0f}>{''.join(svg)}</svg><div class=legend style='{place}'>{''.join(listed)}</div>"


def draw_heatmap(panel, found, times, width, height):
    """Native histograms: each point has the buckets that counted something, with their bounds."""
    counted = [(at, float(lower), float(upper), float(count))
               for one in found for at, buckets in one["points"] for _, lower, upper, count in buckets]
    counted = [(at, lower, upper, count) for at, lower, upper, count in counted if count > 1e-9 and lower > 0]
    if not counted:
        return nothing(panel)
    ratio = max(upper / lower for _, lower, upper, _ in counted)
    row = lambda bound: round(math.log(bound, ratio))
    lowest, highest = min(row(upper) for _, _, upper, _ in counted), max(row(upper) for _, _, upper, _ in counted)
    bounds = [ratio ** index for index in range(lowest, highest + 1)]
    left, bottom = 52, 18
    plot_width, plot_height = width - left - 8, height - bottom - 6
    cell = plot_height / len(bounds)
    cells = [(at, row(upper) - lowest, count) for at, _, upper, count in counted]
    most = max(count for _, _, count in cells)
    bar = max(1, plot_width * times.step / (times.end - times.start) - 0.5)
    top = lambda index: 6 + plot_height - (index + 1) * cell
    x = lambda at: left + (at - times.start) / (times.end - times.start) * plot_width
    svg = [rectangle(x(at) - bar, top(index), bar, cell - 0.5, "#FF9830", max(0.08, math.sqrt(count / most)))
           for at, index, count in cells]
    every = math.ceil(12 / cell)
    svg += [label(left - 4, top(index) + 5, show(bound, "s"), "end")
            for index, bound in enumerate(bounds) if index % every == 0]
    return f"<svg width={width:.0f} height={height:.0f}>{''.join(svg)}</svg>"


def draw_timeline(panel, found, times, width, height):
    if not found:
        return nothing(panel)
    left, row = 90, (height - 20) / len(found)
    svg = []
    for index, one in enumerate(found):
        field = Field(panel, one["name"])
        svg.append(label(4, index * row + row / 2 + 4, one["name"]))
        bar = (width - left) * times.step / (times.end - times.start)
        x = lambda at: left + (at - times.start) / (times.end - times.start) * (width - left)
        svg += [rectangle(x(at), (index + 0.1) * row, bar + 0.5, row * 0.8, field.color(value), 0.7) for at, value in one["points"]]
    return f"<svg width={width:.0f} height={height:.0f}>{''.join(svg)}</svg>"


def draw_table(panel, found, height):
    transformations = {one["id"]: one["options"] for one in panel.get("transformations", [])}
    organize = transformations.get("organize", {})
    refs = sorted({target["refId"] for target in panel["targets"]})
    rows = {}
    for one in found:
        key = tuple(sorted(one["labels"].items()))
        rows.setdefault(key, {})[f"Value #{one['target']}" if len(refs) > 1 else "Value"] = last(one)
    columns = sorted(organize.get("renameByName", {}), key=lambda column: organize["indexByName"][column])
    names = [organize["renameByName"][column] for column in columns]
    filled = [[dict(key).get(column, values.get(column)) for column in columns] for key, values in rows.items()]
    if not filled:
        return nothing(panel)
    for sort in panel["options"].get("sortBy", []):
        position = names.index(sort["displayName"])
        number = lambda row: row[position] if isinstance(row[position], float) and not math.isnan(row[position]) else -1
        filled.sort(key=number, reverse=sort["desc"])
    most = {name: max((row[index] for row in filled if isinstance(row[index], float)), default=1) for index, name in enumerate(names)}
    visible = max(1, int(height / 27) - 1)
    widths = [f" style='width:{Field(panel, name).custom.get('width', 'auto')}px'" for name in names]
    out = [table_row(list(zip(map(escape, names), widths)), "th")]
    for row in filled[:visible]:
        cells = []
        for name, value in zip(names, row):
            field = Field(panel, name)
            kind = field.custom.get("cellOptions", {}).get("type")
            if not isinstance(value, float):
                cells.append((escape(str(value if value is not None else "")), " class=link" if field.values.get("links") else ""))
            elif kind == "gauge":
                size = f"width:{100 * value / (most[name] or 1):.0f}px;height:12px"
                bar = f"<div style='display:inline-block;background:{field.color(value)};{size}'></div>"
                cells.append(f"{bar} {escape(field.text(value))}")
            else:
                cells.append((escape(field.text(value)), f" style='color:{field.color(value)}'" if kind == "color-text" else ""))
        out.append(table_row(cells))
    rest = f"<p class=more>{len(filled) - visible} more rows, by scrolling</p>" if len(filled) > visible else ""
    return f"<table class=table>{''.join(out)}</table>{rest}"


def draw_traces(panel, traces, height):
    if not traces:
        return nothing(panel)
    rows = [table_row(["Trace ID", "Start", "Service", "Name", "Duration"], "th")]
    for trace in traces[:max(1, int(height / 27) - 1)]:
        begin = clock(int(trace["startTimeUnixNano"]) / 1e9)
        names = [escape(trace.get("rootServiceName", "")), escape(trace.get("rootTraceName", ""))]
        rows.append(table_row([(trace["traceID"], " class=link"), begin, *names, f"{trace.get('durationMs', 0)} ms"]))
    return f"<table class=table>{''.join(rows)}</table>"


def draw_logs(panel, lines, height):
    if not lines:
        return nothing(panel)
    colors = {"error": COLORS["red"], "fatal": COLORS["purple"], "warn": COLORS["orange"], "info": COLORS["green"]}
    rows = []
    for at, line, labels in lines[:max(1, int(height / 19))]:
        color = colors.get(labels.get("severity_text", ""), COLORS["text"])
        rows.append(f"<div style='border-left:3px solid {color}'>{clock(at)} {escape(line)}</div>")
    return f"<div class=logs>{''.join(rows)}</div>"


def draw_alerts(panel, arguments, height):
    response = fetch(arguments.prometheus, "/api/v1/alerts", {})
    wanted = re.findall(r'(\w+)!="([^"]*)"', panel["options"]["alertInstanceLabelFilter"])
    alerts = [alert for alert in response["data"]["alerts"] if all(alert["labels"].get(label) != value for label, value in wanted)]
    rows = []
    for alert in alerts[:max(1, int(height / 27))]:
        color = COLORS["red" if alert["state"] == "firing" else "orange"]
        labels = alert["labels"]
        rows.append(table_row([(alert["state"], f" style='color:{color}'"), escape(labels["alertname"]), labels.get("severity", "")]))
    return f"<table class=table>{''.join(rows)}</table>" if rows else "<div class=none>No alerts</div>"


def draw(panel, dashboard, arguments, problems):
    width = panel["gridPos"]["w"] * CELL_WIDTH - GAP - 14
    height = panel["gridPos"]["h"] * (CELL_HEIGHT + GAP) - GAP - 34
    times = Times(panel, dashboard, arguments)
    found = []
    try:
        if panel["type"] == "text":
            return f"<pre class=logs>{escape(panel['options']['content'])}</pre>"
        if panel["type"] == "alertlist":
            if not arguments.prometheus:
                return "<div class=none>prometheus does not answer</div>"
            return draw_alerts(panel, arguments, height)
        for target in panel["targets"]:
            ask = {"prometheus": ask_prometheus, "loki": ask_loki, "tempo": ask_tempo}[target["datasource"]["type"]]
            if not getattr(arguments, target["datasource"]["type"]):
                return f"<div class=none>{target['datasource']['type']} does not answer</div>"
            result = ask(target, times, arguments)
            if not result and "noValue" not in panel["fieldConfig"]["defaults"] and target["datasource"]["type"] == "prometheus":
                problems.append(f"{dashboard['title']} / {panel['title']}: no data for {times.fill_in(target['expr'])}")
            found += result
    except RuntimeError as error:
        problems.append(f"{dashboard['title']} / {panel['title']}: {error}")
        return f"<div class=nodata>{escape(str(error))}</div>"
    if panel["type"] == "table" and panel["targets"][0]["datasource"]["type"] == "tempo":
        return draw_traces(panel, found, height)
    drawers = {"stat": lambda: draw_stat(panel, found, width, height), "bargauge": lambda: draw_bars(panel, found, width, height),
               "timeseries": lambda: draw_chart(panel, found, times, width, height),
               "heatmap": lambda: draw_heatmap(panel, found, times, width, height),
               "state-timeline": lambda: draw_timeline(panel, found, times, width, height),
               "table": lambda: draw_table(panel, found, height), "logs": lambda: draw_logs(panel, found, height)}
    return drawers[panel["type"]]()


STYLE = """
body{background:#111217;color:#ccccdc;font:13px Inter,Helvetica,Arial,sans-serif;margin:12px}
h1{font-size:18px;margin:4px 0 8px}
.grid{position:relative}
.panel,.row{position:absolute;box-sizing:border-box}
.panel{background:#181b1f;border:1px solid #2c3235;border-radius:2px;overflow:hidden;padding:0 6px}
.panel h2{font-size:13px;font-weight:500;margin:0;height:28px;line-height:28px;white-space:nowrap;overflow:hidden}
.row{font-size:15px;font-weight:600;padding:4px}
.stat{display:flex;height:80%;text-align:center;align-items:center;gap:4px}
.stat small{display:block;font-size:11px;color:#ccccdc}
svg text{fill:#9fa7b3;font-size:10.5px}
svg .grid{stroke:#2c3235}
.legend{position:absolute;display:flex;flex-wrap:wrap;gap:0 12px;font-size:11.5px;overflow:hidden}
.legend i{display:inline-block;width:12px;height:3px;margin:0 5px 3px 0}
.legend b{float:right}
.bars{width:100%;font-size:12px}
.table{width:100%;border-collapse:collapse;font-size:12px}
.table td,.table th{text-align:left;height:26px;padding:0 6px;border-bottom:1px solid #2c3235;white-space:nowrap;overflow:hidden}
.table th,.link{color:#6e9fff}
.logs{font:11.5px monospace;white-space:nowrap}
.logs div{padding:1px 6px}
.none{color:#9fa7b3;text-align:center;margin-top:20px}
.nodata{color:#F2495C;text-align:center;margin-top:16px;white-space:normal}
.warn{color:#FF9830;position:absolute;right:8px;top:4px;margin:0}
.more{color:#9fa7b3;margin:2px;font-size:11px}
"""


def sketch(path, arguments, problems):
    dashboard = json.loads(path.read_text())
    parts, bottom = [], 0
    for panel in dashboard["panels"]:
        position = panel["gridPos"]
        left, top = position["x"] * CELL_WIDTH, position["y"] * (CELL_HEIGHT + GAP)
        width, height = position["w"] * CELL_WIDTH - GAP, position["h"] * (CELL_HEIGHT + GAP) - GAP
        bottom = max(bottom, top + height)
        place = f"left:{left}px;top:{top}px;width:{width}px;height:{height}px"
        if panel["type"] == "row":
            parts.append(f"<div class=row style='{place}'>⌄ {escape(panel['title'])}</div>")
        else:
            title = f"<h2>{escape(panel['title'])}</h2>"
            description = escape(panel["description"], quote=True)
            content = draw(panel, dashboard, arguments, problems)
            parts.append(f"<div class=panel style='{place}' title='{description}'>{title}{content}</div>")
    title = escape(dashboard["title"])
    head = f"<!doctype html><meta charset=utf-8><title>{title}</title><style>{STYLE}</style><h1>{title}</h1>"
    page = f"{head}<div class=grid style='width:{GRID_WIDTH}px;height:{bottom}px'>{''.join(parts)}</div>"
    (arguments.out / f"{path.stem}.html").write_text(page)
    return bottom + 70


def connection_error(url):
    """Why nothing can be reached there, or an empty text."""
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        pass
    except OSError as error:
        return str(getattr(error, "reason", error))
    return ""


def take_screenshot(page, height):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        return
    screenshot = page.with_suffix(".png")
    subprocess.run([chromium, "--headless=new", "--no-sandbox", "--hide-scrollbars", f"--window-size={GRID_WIDTH + 30},{height}",
                    f"--screenshot={screenshot}", page.resolve().as_uri()], check=True, capture_output=True, timeout=120)
    print(screenshot)


def main():
    repository = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=repository / "target/sketches")
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090")
    parser.add_argument("--loki", default="http://127.0.0.1:3100")
    parser.add_argument("--tempo", default="http://127.0.0.1:3200")
    parser.add_argument("--range", default="", help="in place of each dashboard's own range, such as 30m")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="what is chosen at the top of a dashboard")
    parser.add_argument("dashboards", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    problems = []
    for store in ("prometheus", "loki", "tempo"):
        url = getattr(arguments, store)
        reason = connection_error(url) if url else "no address was given"
        if reason:
            problems.append(f"{store} does not answer at {url}, so its panels are empty: {reason}. `--{store} URL` names another place.")
            setattr(arguments, store, "")
    for path in arguments.dashboards or sorted((repository / "deploy/grafana/dashboards").glob("*.json")):
        height = sketch(path, arguments, problems)
        print(f"{arguments.out / path.stem}.html: {GRID_WIDTH + 30} x {height} pixels")
        take_screenshot(arguments.out / f"{path.stem}.html", height)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
