"""Table and picture of the figures that bench.py took; by itself: report.py FIGURES.json puts them into the docs."""
import dataclasses
import json
import math
import pathlib
import statistics
import sys

from layered import LAYERED_ROWS
from rows import ROWS

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
DOCUMENT = DOCS / "performance.md"
END = "<!-- end of figures -->"
COLOURS = {"bindfs": "#c8a2a2", "fuse-overlayfs": "#d9c08a", "identity": "#4a7fb5", "gid": "#1f4e79",
           "limit": "#9a9a9a", "layers": "#1f4e79"}
NAMES = {"bindfs": "bindfs", "fuse-overlayfs": "fuse-overlayfs", "identity": "identity view", "gid": "gid view",
         "limit": "server in memory", "layers": "layered view"}


@dataclasses.dataclass
class Section:
    """Figures of one kind, and their place in the documentation."""
    rows: list
    reference: str  # what "native" is
    begin: str  # the line behind which they stand
    file: str  # of the picture and of the figures, in docs/
    subject: str  # whose rows the picture shows


VIEWS = Section(ROWS, "a bind mount", "<!-- figures: scripts/bench --report -->", "performance", "gid")
LAYERS = Section(LAYERED_ROWS, "the kernel's overlayfs", "<!-- figures: scripts/bench --layers --report -->",
                 "performance-layers", "layers")


def section_of(figures):
    return LAYERS if any("layers" in rates for rates in figures["rates"].values()) else VIEWS


def ratio(figures, row, subject):
    """Median over the rounds of subject's rate against the reference's, or None."""
    rates = figures["rates"].get(row, {})
    pairs = [(ours, native) for ours, native in zip(rates.get(subject, []), rates.get("native", [])) if native]
    return statistics.median(ours / native for ours, native in pairs) if pairs else None


def table(figures, section):
    """Markdown: a row for each workload, ratios to the reference (1.00; higher is faster)."""
    subjects = [name for name in NAMES if any(ratio(figures, row.name, name) is not None for row in section.rows)]
    lines = [f"| against {section.reference} = 1.00 | " + " | ".join(NAMES[name] for name in subjects) + " | aim |",
             "|---|" + "---:|" * (len(subjects) + 1)]
    for row in section.rows:
        cells = [ratio(figures, row.name, name) for name in subjects]
        if any(cell is not None for cell in cells):
            shown = ["" if cell is None else f"{cell:.2f}" if cell >= 0.1 else f"{cell:.3f}" for cell in cells]
            lines.append(f"| {row.title} | " + " | ".join(shown) + f" | {row.target:.2f} |")
    return "\n".join(lines)


def rest(figures):
    """The time until a mount is ready, and memory."""
    lines = ["| files | view ready | of that an empty process | chown -R and chmod -R | and sync |",
             "|---:|---:|---:|---:|---:|"]
    for one in figures["ready"]:
        lines.append(f"| {one['files']:,} | {one['ready_s'] * 1000:.1f} ms | {one['process_s'] * 1000:.1f} ms | "
                     f"{one['chown_s'] * 1000:,.0f} ms | {one['chown_sync_s'] * 1000:,.0f} ms |")
    memory = figures["memory"]
    lines += ["", f"An idle view has {memory['idle_private_kib']:,} KiB of private memory; each of "
              f"{memory['inodes']:,} cached inodes took {memory['bytes_per_inode']:.0f} bytes in its server. When all "
              f"were forgotten and cached again it had {memory['again_kib']:+,} KiB."]
    return "\n".join(lines)


def text(figures, section):
    machine, options = figures["machine"], figures["options"]
    head = (f"Linux {machine['kernel']}, {machine['processors']} processors, {machine['file_system']}, "
            f"{machine['version']}; {options['rounds']} rounds, {options['threads']} threads.")
    return "\n\n".join([head, table(figures, section), *([rest(figures)] if "ready" in figures else [])])


def picture(figures, section):
    """Horizontal bars on a logarithmic scale from 1/100 to 2, drawn by hand: no library is needed."""
    subjects = [name for name in NAMES
                if name != "identity" and any(figures["rates"][row].get(name) for row in figures["rates"])]
    rows = [row for row in section.rows if ratio(figures, row.name, section.subject) is not None]
    left, width, bar, gap = 210, 560, 7, 10
    height_of_row = bar * len(subjects) + gap
    height = 60 + height_of_row * len(rows) + 20

    def place(value):
        return left + width * (math.log10(max(0.01, min(2, value))) + 2) / (math.log10(2) + 2)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 40} {height}" '
             'font-family="sans-serif" font-size="12">', '<rect width="100%" height="100%" fill="white"/>']
    for number, name in enumerate(subjects):
        x = left + number * 140
        parts.append(f'<rect x="{x}" y="10" width="12" height="12" fill="{COLOURS[name]}"/>'
                     f'<text x="{x + 17}" y="21">{NAMES[name]}</text>')
    for value in (0.01, 0.1, 0.5, 1):
        x = place(value)
        parts.append(f'<line x1="{x:.0f}" y1="38" x2="{x:.0f}" y2="{height - 20}" stroke="#bbb"/>'
                     f'<text x="{x:.0f}" y="{height - 6}" text-anchor="middle">{value:g}</text>')
    for number, row in enumerate(rows):
        y = 44 + number * height_of_row
        parts.append(f'<text x="{left - 8}" y="{y + height_of_row / 2}" text-anchor="end">{row.title}</text>')
        for turn, name in enumerate(subjects):
            value = ratio(figures, row.name, name)
            if value is not None:
                parts.append(f'<rect x="{left}" y="{y + turn * bar}" width="{place(value) - left:.1f}" '
                             f'height="{bar - 1}" fill="{COLOURS[name]}"/>')
    return "\n".join([*parts, "</svg>", ""])


def into_document(begin, content):
    """Puts the content between the line begin and the next END."""
    before, _, tail = DOCUMENT.read_text().partition(begin)
    _, _, after = tail.partition(END)
    if not tail:
        raise SystemExit(f"{DOCUMENT}: no line {begin}")
    DOCUMENT.write_text(f"{before}{begin}\n\n{content}\n\n{END}{after}")


def into_documentation(figures, section):
    into_document(section.begin, text(figures, section))
    (DOCS / section.file).with_suffix(".svg").write_text(picture(figures, section))
    (DOCS / section.file).with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    saved = json.loads(pathlib.Path(sys.argv[1]).read_text())
    into_documentation(saved, section_of(saved))
