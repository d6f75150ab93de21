"""svg.py - the two plots of docs/BENCHMARKS.md: bars for brokers side by side, lines for growth. No library needed."""
import math

COLOURS = ["#1b6ca8", "#8d99a6", "#c65d3b", "#5b8c5a", "#8e6bb0", "#b08a3e"]
FONT = 'font-family="sans-serif" font-size="12" fill="#333"'


def text(x, y, words, anchor="start", more=""):
    words = str(words).replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {FONT} {more}>{words}</text>'


def write(path, width, height, parts):
    with open(path, "w", encoding="utf-8") as f:
        f.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" ')
        f.write(f'viewBox="0 0 {width} {height}">\n<rect width="100%" height="100%" fill="#fff"/>\n')
        f.write("\n".join(parts) + "\n</svg>\n")


def number(value):
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


class Log:
    """A logarithmic axis over the powers of ten around all values."""

    def __init__(self, values, start, end):
        values = [v for v in values if v > 0] or [1]
        self.low = math.floor(math.log10(min(values)))
        self.high = max(math.ceil(math.log10(max(values))), self.low + 1)
        self.start, self.end = start, end

    def at(self, value):
        share = (math.log10(max(value, 10**self.low)) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self):
        return [10.0**e for e in range(self.low, self.high + 1)]


def bars(path, title, rows, names):
    """rows: [(label, {name: (median, least, most)})]. Horizontal bars on a logarithmic scale, a group a row."""
    left, bar, gap, top = 110, 13, 10, 50
    height = top + sum(bar * len(values) + gap for _, values in rows) + 30
    width = 820
    axis = Log([v for _, values in rows for triple in values.values() for v in triple], left, width - 90)
    parts = [text(10, 20, title, more='font-weight="bold"')]
    for i, name in enumerate(names):
        parts.append(f'<rect x="{left + i * 130}" y="28" width="10" height="10" fill="{COLOURS[i % 6]}"/>')
        parts.append(text(left + 14 + i * 130, 38, name))
    for tick in axis.ticks():
        x = axis.at(tick)
        parts.append(f'<path d="M{x:.1f} {top}V{height - 25}" stroke="#e3e3e3"/>')
        parts.append(text(x, height - 10, f"{tick:g}", "middle"))
    y = top
    for label, values in rows:
        parts.append(text(left - 8, y + bar * len(values) / 2 + 4, label, "end"))
        for i, name in enumerate(names):
            if name not in values:
                continue
            median, least, most = values[name]
            x = axis.at(median)
            parts.append(
                f'<rect x="{left}" y="{y}" width="{x - left:.1f}" height="{bar - 2}" fill="{COLOURS[i % 6]}"/>'
            )
            parts.append(
                f'<path d="M{axis.at(least):.1f} {y + bar / 2 - 1}H{axis.at(most):.1f}" stroke="#000"/>'
            )
            parts.append(text(max(x, axis.at(most)) + 5, y + bar - 3, number(median)))
            y += bar
        y += gap
    write(path, width, height, parts)


def line(path, title, x_name, y_name, points):
    """points: [(x, median, least, most)], both axes logarithmic."""
    width, height = 400, 260
    across = Log([p[0] for p in points], 60, width - 20)
    up = Log([v for p in points for v in p[1:]], height - 45, 40)
    parts = [text(10, 20, title, more='font-weight="bold"'), text(10, 36, y_name)]
    for tick in across.ticks():
        x = across.at(tick)
        parts.append(f'<path d="M{x:.1f} 40V{height - 45}" stroke="#e3e3e3"/>')
        parts.append(text(x, height - 30, f"{tick:g}", "middle"))
    for tick in up.ticks():
        y = up.at(tick)
        parts.append(f'<path d="M60 {y:.1f}H{width - 20}" stroke="#e3e3e3"/>')
        parts.append(text(54, y + 4, f"{tick:g}", "end"))
    parts.append(text(width / 2, height - 10, x_name, "middle"))
    path_d = "L".join(f"{across.at(p[0]):.1f} {up.at(p[1]):.1f}" for p in points)
    parts.append(f'<path d="M{path_d}" fill="none" stroke="{COLOURS[0]}" stroke-width="2"/>')
    for x, median, least, most in points:
        at = across.at(x)
        parts.append(f'<circle cx="{at:.1f}" cy="{up.at(median):.1f}" r="3" fill="{COLOURS[0]}"/>')
        parts.append(f'<path d="M{at:.1f} {up.at(least):.1f}V{up.at(most):.1f}" stroke="#000"/>')
    write(path, width, height, parts)
