// The steps of malaria_nb/smear.py (chapter 14), with the same OpenCV; tests/browser/test_demo.py compares the two.
// A field is {data, width, height}: RGBA bytes of an opaque picture, as a canvas gives them.
"use strict";
const Smear = (() => {
  const CORE = Math.fround(.8), REACH = 1.8, NUCLEUS = 100;
  const LIMITS = {saturated: .05, covered: .02, contrast: 20, focus: 2.9};

  // OpenCV's matrices live outside JavaScript's memory: `work` gets a maker of them, and all are freed at its end
  const scope = work => {
    const made = [], mat = (m = new cv.Mat()) => (made.push(m), m);
    try { return work(mat); } finally { made.forEach(m => m.delete()); }
  };
  const size0 = () => new cv.Size(0, 0);
  const blur = (from, to, sigma) => cv.GaussianBlur(from, to, size0(), sigma);
  const rgb = (mat, picture) => {
    const rgba = mat(cv.matFromArray(picture.height, picture.width, cv.CV_8UC4, picture.data)), out = mat();
    cv.cvtColor(rgba, out, cv.COLOR_RGBA2RGB);
    return out;
  };
  const median = a => {
    const s = [...a].sort((x, y) => x - y), n = s.length;
    return n ? (s[(n - 1) >> 1] + s[n >> 1]) / 2 : 0;
  };
  const areas = (mat, mask, connectivity) => {
    const part = mat(), stats = mat();
    cv.connectedComponentsWithStats(mask, part, stats, mat(), connectivity, cv.CV_32S);
    return [part, Array.from({length: stats.rows}, (_, i) => stats.intAt(i, cv.CC_STAT_AREA))];
  };
  const usual = (mat, mask) => median(areas(mat, mask, 8)[1].slice(1).filter(a => a > 100));

  function evenLight(mat, field) {
    const [h, w] = [field.height, field.width];
    const values = new Uint8Array(h*w), from = field.data;
    for (let i = 0; i < h*w; i++) values[i] = from[4*i + 1];
    const green = mat(cv.matFromArray(h, w, cv.CV_8U, values)), small = mat(), lamp = mat(), flat = mat(new cv.Mat(h, w, cv.CV_8U));
    cv.resize(green, small, size0(), 1/8, 1/8, cv.INTER_AREA);
    cv.dilate(small, small, mat(cv.Mat.ones(15, 15, cv.CV_8U)));
    blur(small, small, 8);
    cv.resize(small, lamp, new cv.Size(w, h), 0, 0, cv.INTER_LINEAR);
    const [light, even] = [lamp.data, flat.data]; // each `data` is a new view: take it once, after the last call that may allocate
    for (let i = 0; i < h*w; i++) even[i] = Math.min(255, Math.fround(Math.fround(255/Math.max(light[i], 1))*values[i]));
    return flat;
  }

  function darkRegions(mat, flat) {
    const soft = mat(), mask = mat(), holes = mat();
    blur(flat, soft, 1);
    cv.threshold(soft, mask, 0, 1, cv.THRESH_BINARY_INV + cv.THRESH_OTSU);
    const least = .2*usual(mat, mask);
    cv.threshold(mask, holes, 0, 1, cv.THRESH_BINARY_INV);
    const [part, area] = areas(mat, holes, 4);
    const [m, p] = [mask.data, part.data32S];
    for (let i = 0; i < m.length; i++) if (area[p[i]] < least) m[i] = 1;
    return mask;
  }

  function partCells(mat, mask, usualArea) { // Int32Array: 0 empty, -1 dam, 1, 2, … a region each
    const out = new Int32Array(mask.data.length), radius = Math.sqrt(usualArea/Math.PI);
    if (!radius) return out;
    const away = mat(), highest = mat(), core = mat(new cv.Mat(mask.rows, mask.cols, cv.CV_8U)), seeds = mat(), three = mat();
    const side = 2*Math.floor(REACH*radius/2) + 1;
    cv.distanceTransform(mask, away, cv.DIST_L2, 5);
    blur(away, away, Math.max(1, .06*radius));
    cv.dilate(away, highest, mat(cv.Mat.ones(side, side, cv.CV_8U)));
    cv.cvtColor(mask, three, cv.COLOR_GRAY2BGR);
    three.convertTo(three, -1, 255, 0);
    let [a, top, m, c] = [away.data32F, highest.data32F, mask.data, core.data];
    for (let i = 0; i < m.length; i++) c[i] = m[i] > 0 && a[i] >= Math.fround(CORE*top[i]);
    cv.connectedComponents(core, seeds, 8, cv.CV_32S);
    let s = seeds.data32S; // 1 is the empty field, 0 not decided yet
    m = mask.data;
    for (let i = 0; i < m.length; i++) s[i] = m[i] ? s[i] + (s[i] > 0) : 1;
    cv.watershed(three, seeds);
    [s, m] = [seeds.data32S, mask.data];
    for (let i = 0; i < m.length; i++) out[i] = s[i] > 1 ? s[i] - 1 : Math.min(s[i], 0)*m[i];
    return out;
  }

  function kind(area, usualArea, dark, edge) {
    if (edge) return "edge";
    if (dark > .2 && area > .5*usualArea) return "white";
    if (area < .35*usualArea) return "small";
    return area > 2*usualArea ? "clump" : "red";
  }

  // [{x, y, w, h, area, cx, cy, kind, mask}] as find_cells; mask is a Uint8Array of w·h
  const findCells = field => scope(mat => {
    const flat = evenLight(mat, field), mask = darkRegions(mat, flat), usualArea = usual(mat, mask);
    const regions = partCells(mat, mask, usualArea), [h, w, even] = [mask.rows, mask.cols, flat.data], found = [];
    for (let i = 0; i < regions.length; i++) {
      if (regions[i] < 1) continue;
      const r = found[regions[i]] ??= {left: w, right: 0, top: h, bottom: 0, area: 0, sx: 0, sy: 0, dark: 0};
      const x = i % w, y = (i - x)/w;
      r.left = Math.min(r.left, x); r.right = Math.max(r.right, x + 1);
      r.top = Math.min(r.top, y); r.bottom = Math.max(r.bottom, y + 1);
      r.area++; r.sx += x; r.sy += y; r.dark += even[i] < NUCLEUS;
    }
    const cells = [];
    found.forEach((r, n) => {
      if (r.area < 30) return; // dust
      const own = new Uint8Array((r.right - r.left)*(r.bottom - r.top)), wide = r.right - r.left;
      for (let j = 0; j < own.length; j++) own[j] = regions[(r.top + Math.floor(j/wide))*w + r.left + j % wide] === n;
      const edge = r.top <= 1 || r.left <= 1 || r.bottom >= h - 1 || r.right >= w - 1;
      cells.push({x: r.left, y: r.top, w: wide, h: r.bottom - r.top, area: r.area, cx: r.sx/r.area, cy: r.sy/r.area,
                  kind: kind(r.area, usualArea, r.dark/r.area, edge), mask: own});
    });
    return cells;
  });

  const measureField = field => scope(mat => {
    const flat = evenLight(mat, field), mask = darkRegions(mat, flat), [even, own] = [flat.data, mask.data], n = own.length;
    let [stained, dark, light, burnt] = [0, 0, 0, 0];
    for (let i = 0; i < n; i++) {
      if (own[i]) { stained++; dark += even[i]; } else light += even[i];
      burnt += Math.min(field.data[4*i], field.data[4*i + 1], field.data[4*i + 2]) >= 254;
    }
    const contrast = stained && stained < n ? light/(n - stained) - dark/stained : 0;
    const rim = mat(), soft = mat(), bend = mat();
    cv.morphologyEx(mask, rim, cv.MORPH_GRADIENT, mat(cv.Mat.ones(3, 3, cv.CV_8U)));
    cv.dilate(rim, rim, mat(cv.Mat.ones(7, 7, cv.CV_8U)));
    blur(flat, soft, 1);
    soft.convertTo(soft, cv.CV_32F);
    cv.Laplacian(soft, bend, cv.CV_32F);
    const near = rim.data, along = bend.data32F.filter((_, i) => near[i]), mean = along.reduce((a, b) => a + b, 0)/along.length;
    const focus = along.length ? 1000*along.reduce((a, b) => a + (b - mean)**2, 0)/along.length/Math.max(contrast, 1)**2 : 0;
    return {saturated: burnt/n, covered: stained/n, contrast, focus};
  });

  function checkField(field) { // why it can't be read; "" if it can
    const m = measureField(field), percent = (x, d) => `${(100*x).toFixed(d)}%`;
    if (m.saturated > LIMITS.saturated) return `overexposed: ${percent(m.saturated, 0)} of the pixels are at the end of the scale; use less light`;
    if (m.contrast < LIMITS.contrast || m.covered < LIMITS.covered)
      return `empty: stain covers ${percent(m.contrast >= LIMITS.contrast ? m.covered : 0, 1)} of the field; move to where cells are`;
    if (m.focus < LIMITS.focus) return `blurred: focus ${m.focus.toFixed(1)}, at least ${LIMITS.focus} is needed; focus and take it again`;
    return "";
  }

  function cut(field, cell) { // a cell on black, a picture like the field
    const data = new Uint8ClampedArray(4*cell.w*cell.h);
    for (let j = 0; j < cell.mask.length; j++) {
      const i = 4*((cell.y + Math.floor(j/cell.w))*field.width + cell.x + j % cell.w);
      if (cell.mask[j]) for (let c = 0; c < 3; c++) data[4*j + c] = field.data[i + c];
      data[4*j + 3] = 255;
    }
    return {data, width: cell.w, height: cell.h};
  }

  // RGB 0–255 for a model that reads height × width, shrunk as images.decode_cell does
  const resized = (picture, height, width) => scope(mat => {
    const out = mat();
    cv.resize(rgb(mat, picture), out, new cv.Size(width, height), 0, 0, cv.INTER_AREA);
    return Float32Array.from(out.data);
  });

  function parasitaemia(parasitized, cells) { // value and Wilson's (1927) 95% interval; shares
    const z = 1.959963984540054, p = parasitized/cells, zz = z*z/cells;
    const middle = (p + zz/2)/(1 + zz), reach = z*Math.sqrt(p*(1 - p)/cells + zz/cells/4)/(1 + zz);
    return {value: p, low: parasitized ? middle - reach : 0, high: parasitized < cells ? middle + reach : 1};
  }

  return {findCells, measureField, checkField, cut, resized, parasitaemia};
})();
