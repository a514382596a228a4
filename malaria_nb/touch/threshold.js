// A threshold and a parasitaemia: what an alarm is worth on a slide.

function ppv(r, p) {
  const found = p * r.sensitivity, wrong = (1 - p) * (1 - r.specificity);
  return found + wrong > 0 ? found / (found + wrong) : NaN;
}

const limit = slider("Threshold: a score of at least this is called parasitized",
  data.thresholds.length - 1, data.start[0], (i) => T(data.thresholds[i]));
const rare = slider("Parasitaemia: proportion of the red cells that hold a parasite",
  data.parasitaemia.length - 1, data.start[1], (i) => percent(data.parasitaemia[i]));
state = () => {
  const r = rates(limit.at), p = data.parasitaemia[rare.at], n = data.cells;
  return { threshold: data.thresholds[limit.at], parasitaemia: p, ...r, ppv: ppv(r, p),
    there: n * p, found: n * p * r.sensitivity, missed: n * p * (1 - r.sensitivity),
    wrong: (1 - r.specificity) * (1 - p) * n, healthy: (1 - r.specificity) * n };
};
words = () => {
  const s = state();
  const worth = Number.isNaN(s.ppv) ? "It calls no cell parasitized."
    : `Of 100 cells that it calls parasitized, ${of100(s.ppv)} really ` +
      `${of100(s.ppv) === "1" ? "is" : "are"}.`;
  const none = s.fp ? "" : ` (No false alarm in ${grouped(s.tn)} uninfected test cells does ` +
    "not show that there would be none on a slide.)";
  return `At threshold ${T(s.threshold)} and a parasitaemia of ${percent(s.parasitaemia)}, ` +
    `${some(s.there)} of ${grouped(data.cells)} cells are parasitized. The model finds ` +
    `${some(s.found)} of them, misses ${some(s.missed)} and adds ${some(s.wrong)} false ` +
    `parasites. ${worth} On the slide of a healthy person it reports ${some(s.healthy)} ` +
    `parasites.${none}`;
};
tiles(["predictive value (PPV)", "false parasites", "parasites found"], () => {
  const s = state();
  return [[Number.isNaN(s.ppv) ? "–" : s.ppv.toFixed(2), "alarms that are right"],
    [some(s.wrong), `on a slide of ${grouped(data.cells)} cells`],
    [some(s.found), `of ${some(s.there)} on the slide`]];
});
panel("", [232, 118], (svg, width, height, caption) => {
  const s = state(), right = Math.round(100 * (s.ppv || 0));
  caption.textContent = `Of 100 alarms, how many are right? ${of100(s.ppv || 0)}`;
  put(svg, { "aria-label": `${caption.textContent}. A hundred dots, as many of them filled.` });
  const columns = narrow() ? 20 : 10, [tall, r] = narrow() ? [17, 5.5] : [19.5, 7];
  const step = Math.min(21, (width - 12) / columns), left = (width - columns * step) / 2;
  for (let k = 0; k < 100; k++) {
    const cx = left + (k % columns + 0.5) * step, cy = 4 + (Math.floor(k / columns) + 0.5) * tall;
    svg.append(draw("circle", { cx, cy, r, class: k < right ? "mnb-hit" : "mnb-false" }));
  }
  const y = height - 14;
  svg.append(draw("circle", { cx: left + 8, cy: y, r: 6, class: "mnb-hit" }));
  svg.append(text(left + 20, y + 4, "a parasite"));
  svg.append(draw("circle", { cx: left + 112, cy: y, r: 6, class: "mnb-false" }));
  svg.append(text(left + 124, y + 4, "false alarm"));
});
const low = Math.log10(data.parasitaemia[0]), high = Math.log10(data.parasitaemia.at(-1));
panel("The rarer the parasites, the less an alarm is worth", [232, 180], (svg, width, height) => {
  const s = state(), r = rates(limit.at);
  put(svg, { "aria-label": "Curve of the positive predictive value against parasitaemia, " +
    `rising; it is ${(s.ppv || 0).toFixed(2)} at ${percent(s.parasitaemia)}.` });
  const at = axes(svg, width, height, {
    x: { place: (p) => (Math.log10(p) - low) / (high - low), ticks: [1e-4, 1e-3, 0.01, 0.1, 0.5],
      say: (p) => String(+(100 * p).toPrecision(2)) },
    y: straight(0, 1, [0, 0.25, 0.5, 0.75, 1], (v) => v.toFixed(2)),
    xName: "parasitaemia (%)", yName: "predictive value" });
  const points = [];
  for (let k = 0; k <= 80; k++) {
    const p = 10 ** (low + (high - low) * k / 80), v = ppv(r, p);
    if (!Number.isNaN(v)) points.push([at.X(p), at.Y(v)]);
  }
  if (!points.length) return;
  svg.append(path(points, "mnb-curve"));
  const x = at.X(s.parasitaemia), y = at.Y(s.ppv);
  svg.append(line(x, at.bottom, x, y, "mnb-lead"), line(at.left, y, x, y, "mnb-lead"));
  svg.append(draw("circle", { cx: x, cy: y, r: 6, class: "mnb-dot" }));
});
