// A reliability diagram whose scores are divided by a temperature.

const raw = atob(data.logits), bytes = Uint8Array.from(raw, (c) => c.charCodeAt(0));
const view = new DataView(bytes.buffer), cells = bytes.length / 2;
const z = Float64Array.from({ length: cells }, (_, i) => view.getInt16(2 * i, true) / 1000);
const label = (i) => (i >= data.uninfected ? 1 : 0); // uninfected cells come first
const [coolest, hottest] = data.range;
const heat = slider("Temperature T: every logit is divided by it", hottest - coolest,
  100 - coolest, (i) => ((i + coolest) / 100).toFixed(2));
const parts = slider("Bins", 28, 8, (i) => String(i + 2));
const buttons = make("div", { class: "mnb-buttons" });
controls.append(buttons);
button("T = 1: as recorded", () => { heat.at = 100 - coolest; }, buttons);
const fitted = Math.round(100 * data.fitted);
button(`T = ${(fitted / 100).toFixed(2)}: fitted on validation cells`,
  () => { heat.at = fitted - coolest; }, buttons);
const name = `mnb-${count}-kind`;
const kinds = ["width", "count"].map((value) => {
  const input = make("input", { type: "radio", name, value, id: `${name}-${value}` });
  input.checked = value === "width";
  input.addEventListener("change", () => update(true));
  return [input, make("label", { class: "mnb-check", for: input.id },
    [input, value === "width" ? " bins equally wide" : " equally many cells in each"])];
});
controls.append(make("fieldset", {}, [make("legend", {}, "Kind of bins"),
  ...kinds.map((k) => k[1])]));
let key = "", kept = null;
state = () => {
  const temperature = (heat.at + coolest) / 100, bins = parts.at + 2;
  const strategy = kinds[0][0].checked ? "width" : "count";
  if (key === [temperature, bins, strategy].join()) return kept;
  key = [temperature, bins, strategy].join();
  const p = z.map((v) => 1 / (1 + Math.exp(-v / temperature)));
  let edges = Array.from({ length: bins + 1 }, (_, k) => k * (1 / bins));
  edges[bins] = 1;
  if (strategy === "count") {
    const sorted = Float64Array.from(p).sort();
    edges = edges.map((q) => quantile(sorted, q));
  }
  const found = edges.slice(1).map((end, k) =>
    ({ start: edges[k], end, cells: 0, said: 0, there: 0 }));
  let entropy = 0, right = 0;
  for (let i = 0; i < cells; i++) {
    let b = 0; // a score on an edge belongs to the bin above it
    for (let a = 0, c = bins - 1; ; ) {
      if (a >= c) { b = a; break; }
      const m = (a + c) >> 1;
      if (edges[m + 1] <= p[i]) a = m + 1; else c = m;
    }
    found[b].cells++;
    found[b].said += p[i];
    found[b].there += label(i);
    entropy -= Math.log(label(i) ? p[i] : 1 - p[i]);
    right += (p[i] >= 0.5 ? 1 : 0) === label(i);
  }
  const error = found.reduce((a, f) => a + Math.abs(f.there - f.said), 0) / cells;
  const rows = found.filter((f) => f.cells).map((f) => ({ ...f, score: f.said / f.cells,
    share: f.there / f.cells }));
  kept = { temperature, bins, strategy, error, entropy: entropy / cells,
    accuracy: right / cells, rows };
  return kept;
};
words = () => {
  const s = state(), top = s.rows.at(-1);
  return `At temperature ${s.temperature.toFixed(2)}, the ${plural(top.cells, "cell", "cells")} ` +
    `in the last bin have a mean score of ${top.score.toFixed(3)}, and ${top.share.toFixed(3)} ` +
    `of them are parasitized. The calibration error is ${s.error.toFixed(4)}. The accuracy at ` +
    `0.5 stays ${s.accuracy.toFixed(3)}.`;
};
tiles(["calibration error (ECE)", "cross-entropy", "accuracy at 0.5"], () => {
  const s = state();
  return [[s.error.toFixed(4), `${plural(s.rows.length, "bin", "bins")} with cells`],
    [s.entropy.toFixed(4), "lower is better"],
    [s.accuracy.toFixed(3), "no temperature changes it"]];
});
const axis = () => straight(0, 1, [0, 0.25, 0.5, 0.75, 1], (v) => v.toFixed(2));
panel("On the diagonal, the scores keep their promise", [300, 222], (svg, width, height) => {
  const s = state(), most = Math.max(...s.rows.map((r) => r.cells));
  put(svg, { "aria-label": "Reliability diagram: a dot a bin, its mean score against its " +
    `proportion parasitized. ${s.rows.map((r) =>
      `${r.score.toFixed(2)}: ${r.share.toFixed(2)}`).join("; ")}.` });
  const at = axes(svg, width, height, { x: axis(), y: axis(), xName: "mean score of the bin",
    yName: "proportion parasitized" });
  svg.append(line(at.X(0), at.Y(0), at.X(1), at.Y(1), "mnb-chance"));
  svg.append(path(s.rows.map((r) => [at.X(r.score), at.Y(r.share)]), "mnb-thin"));
  for (const r of s.rows) {
    svg.append(line(at.X(r.score), at.Y(r.score), at.X(r.score), at.Y(r.share), "mnb-gap"));
    svg.append(draw("circle", { cx: at.X(r.score), cy: at.Y(r.share),
      r: 3 + 6 * Math.sqrt(r.cells / most), class: "mnb-dot" }));
  }
  svg.append(text(at.left + 8, at.top + 14, "above: scores too low"));
  svg.append(text(at.right - 4, at.bottom - 8, "below: scores too high", { "text-anchor": "end" }));
});
panel("Where the cells are: number in each bin", [300, 176], (svg, width, height) => {
  const s = state(), most = 10000;
  put(svg, { "aria-label": "Number of cells in each bin, on a logarithmic scale: " +
    `${s.rows.map((r) => `${r.start.toFixed(2)} to ${r.end.toFixed(2)}: ${grouped(r.cells)}`)
      .join("; ")}.` });
  const at = axes(svg, width, height, { x: axis(), xName: "score", yName: "cells (log scale)",
    y: { place: (v) => Math.log10(v) / Math.log10(most), ticks: [1, 10, 100, 1000, 10000],
      say: grouped }, left: 72 });
  for (const r of s.rows)
    svg.append(draw("rect", { x: at.X(r.start) + 0.5, y: at.Y(Math.max(r.cells, 1.1)),
      width: Math.max(1, at.X(r.end) - at.X(r.start) - 1),
      height: at.bottom - at.Y(Math.max(r.cells, 1.1)), class: "mnb-neg" }));
});
