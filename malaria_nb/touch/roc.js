// A threshold on the scores, in the confusion matrix and on the ROC curve.

const n = data.thresholds.length;
const positive = data.tp[0] + data.fn[0], negative = data.tn[0] + data.fp[0];
// cells between two neighbouring thresholds: what one step of the slider moves
const between = (counts, all) => Array.from({ length: n + 1 }, (_, i) =>
  (i ? counts[i - 1] : all) - (i < n ? counts[i] : 0));
const bars = [between(data.fp, negative), between(data.tp, positive)];
let zoomed = false;
const limit = slider("Threshold: a score of at least this is an alarm", n - 1, data.start[0],
  (i) => T(data.thresholds[i]));
state = () => ({ threshold: data.thresholds[limit.at], ...rates(limit.at), auc: data.auc });
words = () => {
  const s = state();
  return `At threshold ${T(s.threshold)}, the model finds ${grouped(s.tp)} of ` +
    `${grouped(positive)} parasitized cells (sensitivity ${s.sensitivity.toFixed(3)}) and ` +
    `raises ${plural(s.fp, "false alarm", "false alarms")} on ${grouped(negative)} uninfected ` +
    `ones (specificity ${s.specificity.toFixed(3)}).`;
};
tiles(["sensitivity", "specificity", "AUC"], () => {
  const s = state();
  return [[s.sensitivity.toFixed(3), "of the parasitized cells are found"],
    [s.specificity.toFixed(3), "of the uninfected raise no alarm"],
    [data.auc.toFixed(3), "area under the ROC curve"]];
});
const scores = "The scores: cells right of the line are alarms; outlined bars are mistakes";
panel(scores, [214, 176], (svg, width, height) => {
  const s = state(), left = 8, right = width - 8, most = Math.max(...bars.flat());
  const step = (right - left) / (n + 1), [middle, tall] = narrow() ? [74, 52] : [92, 70];
  // the slider's thumb stands above the line
  put(limit.input, { style: `width: ${right - left - 2 * step + 16}px; margin-left: ${step}px` });
  put(svg, { "aria-label": "Bars of scores: parasitized cells above, mostly near 1; " +
    `uninfected cells below, mostly near 0; a line at ${T(s.threshold)}.` });
  bars.forEach((counts, label) => counts.forEach((cells, i) => {
    const h = tall * Math.sqrt(cells / most), alarm = i > limit.at;
    const look = (label ? "mnb-pos" : "mnb-neg") + (alarm === !!label ? "" : " mnb-wrong");
    svg.append(draw("rect", { x: left + i * step + 0.5, width: Math.max(1, step - 1),
      y: label ? middle - h : middle, height: h, class: look }));
  }));
  const x = left + (limit.at + 1) * step;
  svg.append(line(left, middle, right, middle, "mnb-axis"));
  svg.append(line(x, 14, x, middle + tall + 6, "mnb-limit"));
  const end = x > width / 2;
  svg.append(text(x + (end ? -6 : 6), 12, "alarms →",
    { "text-anchor": end ? "end" : "start", class: "mnb-strong" }));
  // words where there are no bars
  svg.append(text(left, 34, "parasitized cells", { class: "mnb-pos-words" }));
  svg.append(text(right, middle + tall - 10, "uninfected cells",
    { "text-anchor": "end", class: "mnb-neg-words" }));
  const ticks = [0.01, 0.1, 0.5, 0.9, 0.99];
  for (const t of width < 480 ? ticks : [0.001, ...ticks, 0.999]) {
    const i = data.thresholds.indexOf(t), at = left + (i + 1) * step;
    svg.append(line(at, middle + tall + 8, at, middle + tall + 13, "mnb-axis"));
    svg.append(text(at, middle + tall + 26, T(t), { "text-anchor": "middle" }));
  }
  const note = width < 480 ? "both ends stretched"
    : "both ends stretched; heights are square roots, so that few cells can be seen";
  svg.append(text(width / 2, height - 5, `score (${note})`, { "text-anchor": "middle" }));
}, true);
// the matrix is a table, so that a screen reader can walk through it
const cells = {};
const cell = (name, words, look) => {
  cells[name] = make("strong", {});
  return make("td", { class: look }, [cells[name], make("span", {}, words)]);
};
const heads = (names) => make("tr", {}, [make("td", {}),
  ...names.map((name) => make("th", { scope: "col" }, name))]);
const row = (name, two) => make("tr", {}, [make("th", { scope: "row" }, name), ...two]);
const matrix = make("table", {}, [make("caption", {}, "The confusion matrix: all test cells"),
  make("tbody", {}, [heads(["called uninfected", "called parasitized"]),
    row("labelled uninfected", [cell("tn", "true negatives", "mnb-right"),
      cell("fp", "false positives", "mnb-amiss")]),
    row("labelled parasitized", [cell("fn", "false negatives: missed", "mnb-amiss"),
      cell("tp", "true positives: found", "mnb-right")])])]);
panels.append(make("div", { class: "mnb-panel" }, matrix));
drawings.push(() => {
  const s = state();
  for (const name in cells) cells[name].textContent = grouped(s[name]);
});
const plot = panel("The ROC curve: every threshold is a point", [284, 216], (svg, width, height) => {
  const s = state(), side = zoomed ? 0.3 : 1, x = 1 - s.specificity, y = s.sensitivity;
  put(svg, { "aria-label": "ROC curve, from lower left to upper right, close to the upper " +
    `left corner. The point of this threshold: ${x.toFixed(3)} of the uninfected cells are ` +
    `false alarms, ${y.toFixed(3)} of the parasitized cells are found.` });
  const ticks = [0, 0.25, 0.5, 0.75, 1], say = (v) => v.toFixed(2);
  const at = axes(svg, width, height, {
    x: straight(0, side, ticks.map((v) => v * side), (v) => v.toFixed(zoomed ? 3 : 2)),
    y: straight(1 - side, 1, ticks.map((v) => 1 - side + v * side),
      (v) => v.toFixed(zoomed ? 3 : 2)),
    xName: "false alarms: 1 − specificity", yName: "found: sensitivity" });
  const id = `mnb-${count}-clip`;
  svg.append(draw("clipPath", { id }, draw("rect", { x: at.left, y: at.top - 7,
    width: at.right - at.left + 7, height: at.bottom - at.top + 7 })));
  const inside = draw("g", { "clip-path": `url(#${id})` });
  inside.append(line(at.X(0), at.Y(0), at.X(1), at.Y(1), "mnb-chance"));
  inside.append(path(data.curve.map(([f, t]) => [at.X(f / negative), at.Y(t / positive)]),
    "mnb-curve"));
  const cx = at.X(x), cy = at.Y(y);
  inside.append(line(cx, at.bottom, cx, cy, "mnb-lead"), line(at.left, cy, cx, cy, "mnb-lead"));
  inside.append(draw("circle", { cx, cy, r: 6, class: "mnb-dot" }));
  svg.append(inside);
  const out = x > side || y < 1 - side;
  if (out)
    svg.append(text((at.left + at.right) / 2, (at.top + at.bottom) / 2,
      "this threshold lies outside the corner", { "text-anchor": "middle" }));
  else if (!zoomed)
    svg.append(text(at.X(0.97), at.Y(0.56), "dotted: a coin", { "text-anchor": "end" }));
});
const zoom = make("input", { type: "checkbox", id: `mnb-${count}-zoom` });
zoom.addEventListener("change", () => { zoomed = zoom.checked; update(); });
plot.box.append(make("label", { class: "mnb-check", for: zoom.id },
  [zoom, " look closer at the upper left corner"]));
