"""Figures for a page, as plotly describes them in JSON; plotly.js draws them in the browser."""

import html
import textwrap

import plotly.graph_objects as go
from plotly.io import to_json

from fer_lightning.figures.description import Matrix
from fer_lightning.figures.style import COLOURS, look

WIDEST = 24  # letters in a line of a name on an axis: more leave no room for the figure on a phone


def themes():
    """{light, dark}: plotly templates on a transparent background, so that the page's own colours show."""
    return {"light": _theme("#1b1f24", "#d9dde3"), "dark": _theme("#e6e8eb", "#3a4048")}


def _theme(ink, grid):
    axis = {"gridcolor": grid, "linecolor": grid, "zeroline": False, "automargin": True}
    return go.layout.Template(
        layout={
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": "system-ui, sans-serif", "size": 12, "color": ink},
            "colorway": COLOURS,
            "xaxis": axis,
            "yaxis": axis,
            "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
            "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
            "hovermode": "closest",
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": grid, "activecolor": ink},
        }
    ).to_plotly_json()


def chart_json(figure):
    """A Chart or Matrix as JSON that is safe inside a <script>."""
    return to_json(_matrix(figure) if isinstance(figure, Matrix) else _chart(figure), validate=False)


def _chart(chart):
    rows = len(chart.y.ticks)
    row = 34 if any(len(str(tick)) > WIDEST for tick in chart.y.ticks) else 24  # pixels, for two lines or one
    drawn = go.Figure([_trace(series) for series in chart.series])
    drawn.update_layout(
        template="none",
        height=120 + row * rows if rows else 380,
        xaxis=_axis(chart.x),
        yaxis=_axis(chart.y),
        showlegend=True,  # plotly leaves it out for a single series
        barmode="overlay",  # the places of the bars are given
    )
    if chart.at is not None:
        drawn.add_vline(chart.at, line={"color": "#888888", "width": 1})
    for name, x in chart.marks.items():
        drawn.add_vline(x, line={"color": "#888888", "width": 1, "dash": "dot"}, annotation_text=_literal(name))
    return drawn


def _axis(axis):
    settings = {"title": {"text": axis.title}}
    if axis.ticks:
        settings |= {"tickvals": list(range(len(axis.ticks))), "ticktext": [_two_lines(str(tick)) for tick in axis.ticks]}
        ends = [-0.6, len(axis.ticks) - 0.4]
        settings["range"] = ends[::-1] if axis.downwards else ends
    return settings


def _trace(series):
    colour, marker, dash = look(series.colour, "plotly")
    text = [_literal(t) for t in series.text] if series.text else None
    trace = {
        "x": series.x,
        "y": series.y,
        "name": _literal(series.name),
        "showlegend": bool(series.name),
        "text": text,
        "marker": {"color": colour, "symbol": marker, "size": 9},
        "hovertemplate": ("%{text}<br>" if text else "") + "%{x:.4~g}, %{y:.4~g}<extra></extra>",
        "mode": "markers",
    }
    match series.style:
        case "line":
            trace |= {"mode": "lines+markers" if len(series.x) < 6 else "lines", "line": {"color": colour, "dash": dash}}
        case "step":
            trace |= {"mode": "lines+markers", "line": {"color": colour, "shape": "hv", "width": 1.5}}
        case "faint":
            trace["marker"] |= {"size": 6, "opacity": 0.55}
        case "bar":
            del trace["mode"]
            trace |= {"marker": {"color": colour, "opacity": 0.45}, "width": series.width, "textposition": "none"}
        case "hollow":
            trace["marker"] |= {"symbol": f"{marker}-open", "line": {"width": 2}}
    if series.low is not None:
        centre = series.x if series.across else series.y
        trace["error_x" if series.across else "error_y"] = {
            "type": "data",
            "symmetric": False,
            "array": [high - c for high, c in zip(series.high, centre, strict=True)],
            "arrayminus": [c - low for low, c in zip(series.low, centre, strict=True)],
            "thickness": 1.5,
            "width": 4,
        }
    return go.Bar(trace) if series.style == "bar" else go.Scatter(trace)


def _matrix(matrix):
    heat = go.Heatmap(
        z=(100 * matrix.values).tolist(),
        x=list(matrix.labels),
        y=list(matrix.labels),
        colorscale="Cividis",
        zmin=0,
        zmax=100,
        texttemplate="%{z:.0f}",
        hovertemplate="%{y} taken for %{x}: %{z:.4~g}<extra></extra>",
        showscale=False,
        xgap=1,
        ygap=1,
    )
    drawn = go.Figure(heat)
    drawn.update_layout(template="none", height=460, xaxis_title="predicted", yaxis={"title": "true", "autorange": "reversed"})
    return drawn


def _literal(text):
    """A text that plotly shows as it is: it would read tags, and TeX between dollar signs."""
    return html.escape(str(text), quote=False).replace("$", "&#36;")


def _two_lines(text):
    return "<br>".join(map(_literal, textwrap.wrap(text, WIDEST, max_lines=2, placeholder=" …")))
