// The bootstrap, by cell and by patient, draw after draw.

// Draw number i of a stream, 0 to 2**32 - 1: a count, stirred (MurmurHash3's last step);
// malaria_nb.widgets.drawn gives the same numbers.
function drawn(seed, stream, i) {
  let x = Math.imul(i + 1, 0x9e3779b9) + Math.imul(seed, 0x85ebca6b) +
    Math.imul(stream, 0xc2b2ae35);
  x ^= x >>> 16;
  x = Math.imul(x, 0x85ebca6b);
  x ^= x >>> 13;
  x = Math.imul(x, 0xc2b2ae35);
  x ^= x >>> 16;
  return x >>> 0;
}
const below = (u, n) => Math.floor((u * n) / 4294967296);

const sizes = data.sizes, mistakes = data.mistakes, patients = sizes.length;
const sum = (values) => values.reduce((a, b) => a + b, 0);
const n = sum(sizes), wrong = sum(mistakes), accuracy = 1 - wrong / n;
const most = data.most, [low, high] = data.domain;
const names = ["by cell", "by patient"];
let seed = data.seed, made = [[], []], last = null, running = 0;

function byCell(draw) {
  let amiss = 0;
  for (let k = 0; k < n; k++) amiss += below(drawn(seed, 0, draw * n + k), n) < wrong;
  return 1 - amiss / n;
}
function whose(draw) {
  const times = new Array(patients).fill(0);
  for (let k = 0; k < patients; k++)
    times[below(drawn(seed, 1, draw * patients + k), patients)]++;
  return times;
}
function byPatient(draw) {
  const times = whose(draw);
  return 1 - sum(times.map((t, i) => t * mistakes[i])) / sum(times.map((t, i) => t * sizes[i]));
}
const draws = slider("Draws: studies made of the same cells, drawn again with replacement",
  most - 1, 0, (i) => grouped(i + 1));
const buttons = make("div", { class: "mnb-buttons" });
controls.append(buttons);
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
button("One more draw", () => { stop(); draws.at = Math.min(most - 1, draws.at + 1); }, buttons);
const play = button("Watch it grow", () => {
  if (running) return stop();
  if (draws.at === most - 1) draws.at = 0;
  if (still()) { draws.at = most - 1; return; }
  play.textContent = "Stop";
  running = setInterval(() => {
    const next = draws.at + Math.max(1, Math.floor(draws.at / 20));
    draws.at = Math.min(most - 1, next);
    if (draws.at === most - 1) stop();
  }, 60);
}, buttons);
function stop() {
  clearInterval(running);
  running = 0;
  play.textContent = "Watch it grow";
}
draws.input.addEventListener("pointerdown", stop);
draws.input.addEventListener("keydown", stop);
button("Other random draws", () => {
  stop();
  seed = seed + 1;
  made = [[], []];
  update(true);
}, buttons);
state = () => {
  const m = draws.at + 1;
  for (let d = made[0].length; d < m; d++) {
    made[0].push(byCell(d));
    made[1].push(byPatient(d));
  }
  const values = made.map((all) => all.slice(0, m));
  const ends = values.map((v) => [quantile(v, 0.025), quantile(v, 0.975)]);
  last = whose(m - 1);
  return { seed, draws: m, accuracy, latest: values.map((v) => v.at(-1)), cell: ends[0],
    patient: ends[1], times: last };
};
words = () => {
  const s = state(), [a, b] = [s.cell, s.patient];
  const drawnNow = last.filter((t) => t > 0).length;
  const first = `Draw ${grouped(s.draws)}: by cell the accuracy is ` +
    `${s.latest[0].toFixed(3)}. By patient it is ${s.latest[1].toFixed(3)}: ${drawnNow} of ` +
    `${patients} patients came up, one of them ${Math.max(...last)} times.`;
  if (s.draws < 20) return `${first} Draw at least 20 for an interval.`;
  const ratio = (b[1] - b[0]) / (a[1] - a[0]);
  return `${first} 95 of 100 draws lie from ${a[0].toFixed(3)} to ${a[1].toFixed(3)} by cell, ` +
    `from ${b[0].toFixed(3)} to ${b[1].toFixed(3)} by patient: ${ratio.toFixed(1)} times as wide.`;
};
tiles(["by cell", "by patient", "as wide"], () => {
  const s = state(), width = ([a, b]) => b - a;
  if (s.draws < 20) return names.map(() => ["–", "from 20 draws on"]).concat([["–", ""]]);
  const ends = ([a, b]) => `${a.toFixed(3)}–${b.toFixed(3)}`;
  return [[ends(s.cell), "95 % of the draws"], [ends(s.patient), "95 % of the draws"],
    [`${(width(s.patient) / width(s.cell)).toFixed(1)}×`, "the interval by patient"]];
});
panel("Accuracy in each draw (dot: the latest)", [292, 228], (svg, width, height) => {
  const s = state();
  put(svg, { "aria-label": `Two heaps of ${plural(s.draws, "dot", "dots")} on one axis of ` +
    "accuracy: the upper, by cell, is narrow; the lower, by patient, is wide." });
  const left = 12, right = width - 12, bins = 48;
  const X = (v) => left + ((v - low) / (high - low)) * (right - left);
  const part = (v) => Math.floor(((v - low) / (high - low)) * bins);
  const where = (v) => Math.min(bins - 1, Math.max(0, part(v)));
  // one scale for both heaps, that of all draws
  const tall = narrow() ? 52 : 84;
  names.forEach((name, k) => {
    const floor = tall + 34 + k * (tall + 48), counts = new Array(bins).fill(0);
    made[k].slice(0, s.draws).forEach((v) => counts[where(v)]++);
    const unit = Math.min(7, tall / Math.max(...counts));
    const step = (right - left) / bins, look = k ? "mnb-pos" : "mnb-neg";
    counts.forEach((cells, i) => svg.append(draw("rect", { x: left + i * step + 0.5,
      width: step - 1, y: floor - cells * unit, height: cells * unit, class: look })));
    svg.append(line(left, floor, right, floor, "mnb-axis"));
    svg.append(text(left, floor - tall - 10, name, { class: k ? "mnb-pos-words" : "mnb-neg-words" }));
    const now = s.latest[k];
    svg.append(draw("circle", { cx: X(now), cy: floor - counts[where(now)] * unit - 6, r: 4.5,
      class: "mnb-dot" }));
    if (s.draws >= 20) {
      const [a, b] = k ? s.patient : s.cell;
      svg.append(line(X(a), floor + 7, X(b), floor + 7, "mnb-span"));
      if (!k) svg.append(text(X(b) + 8, floor + 15, "95 % of the draws"));
      svg.append(line(X(a), floor + 3, X(a), floor + 11, "mnb-span"));
      svg.append(line(X(b), floor + 3, X(b), floor + 11, "mnb-span"));
    }
  });
  svg.append(line(X(accuracy), 30, X(accuracy), 2 * tall + 86, "mnb-lead"));
  const ticks = [];
  for (let v = Math.ceil(low * 100) / 100; v <= high; v += 0.01) ticks.push(v);
  const every = Math.ceil(ticks.length / Math.floor(width / 60));
  ticks.filter((_, i) => i % every === 0).forEach((v) =>
    svg.append(text(X(v), height - 20, v.toFixed(2), { "text-anchor": "middle" })));
  svg.append(text(width / 2, height - 5, "accuracy", { "text-anchor": "middle" }));
});
panel("", [292, 220], (svg, width, height, caption) => {
  const s = state();
  caption.textContent = `The ${patients} patients, and how often each came up in draw ` +
    grouped(s.draws);
  const out = last.filter((t) => t === 0).length;
  put(svg, { "aria-label": `${caption.textContent}: ${out} not at all, ` +
    `${last.filter((t) => t > 1).length} more than once.` });
  const columns = width < 300 ? 8 : 10, step = (width - 8) / columns, tall = narrow() ? 27 : 36;
  const worst = Math.max(...mistakes.map((m, i) => m / sizes[i]));
  last.forEach((times, i) => {
    const x = 4 + (i % columns) * step, y = 4 + Math.floor(i / columns) * tall;
    const share = mistakes[i] / sizes[i] / worst;
    svg.append(draw("rect", { x: x + 1, y, width: step - 3, height: tall - 4, rx: 3,
      class: times ? "mnb-patient" : "mnb-patient mnb-out" }));
    // the proportion of mistakes, from below
    svg.append(draw("rect", { x: x + 1, y: y + (tall - 4) * (1 - share), width: 5,
      height: (tall - 4) * share, class: times ? "mnb-pos" : "mnb-pos mnb-out" }));
    if (times)
      svg.append(text(x + step / 2 + 2, y + tall / 2 + 3, `${times}×`, { "text-anchor": "middle",
        class: "mnb-strong" }));
  });
  const y = 4 + Math.ceil(patients / columns) * tall + 14;
  svg.append(draw("rect", { x: 5, y: y - 10, width: 5, height: 12, class: "mnb-pos" }));
  svg.append(text(16, y, "the patient's proportion of mistakes"));
  put(svg, { height: y + 10, viewBox: `0 0 ${width} ${y + 10}` });
});
