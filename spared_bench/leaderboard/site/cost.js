"use strict";
// Error against cost, with the front of what nothing beats in both; drawn without a library.

spared.cost = (() => {
  const { el, rowName, count, duration } = spared;
  const { known, svg, capital } = spared.parts;
  const KINDS = { seconds: ["training time", duration], parameters: ["trainable parameters", count] };
  const MOST_LABELS = 7, MOST_TITLES = 300;

  // The places, from the cheapest on, of the points of which no other has less of both; of equal
  // points all.
  function front(points) {
    const order = points.map((_, i) => i).sort((a, b) => points[a][0] - points[b][0] || points[a][1] - points[b][1]);
    const kept = [];
    let lowest = Infinity, at = -Infinity;
    for (const i of order) {
      const [cost, error] = points[i];
      if (error < lowest || (error === lowest && cost === at)) { kept.push(i); lowest = error; at = cost; }
    }
    return kept;
  }

  // Which cost the rows have: the one that the reader chose, or the first that two rows have.
  function kind(rows, wanted) {
    const usable = Object.keys(KINDS).filter((key) => rows.filter((row) => row[key] > 0).length > 1);
    return usable.includes(wanted) ? wanted : usable[0];
  }
  const usable = (rows) => Object.keys(KINDS).filter((key) => rows.filter((row) => row[key] > 0).length > 1);

  function chart(choice, rows, key) {
    const seen = rows.filter((row) => row[key] > 0 && known(choice.of(row).overall));
    if (seen.length < 2) return null;
    const points = seen.map((row) => [row[key], choice.err(row)]);
    const best = front(points);
    const [title, write] = KINDS[key];
    // On a phone it is drawn narrower, so that its words stay as large as they are.
    const wide = Math.max(300, Math.min(560, document.documentElement.clientWidth - 60)), tall = 300, left = 64, right = 16, top = 14, bottom = 40;
    const xs = points.map((p) => Math.log10(p[0])), values = seen.map((row) => choice.of(row).overall);
    const sorted = [...values].sort((a, b) => a - b);
    const higher = !choice.metric.normalised && choice.metric.better === "higher";
    // The worst tenth may be far off: clipped to the edge and marked.
    const cut = (share) => sorted[Math.round(share * (sorted.length - 1))];
    const spread = cut(0.9) - cut(0.1) || Math.abs(cut(0.5)) * 0.1 || 1;
    const low = higher ? Math.max(sorted[0], cut(0.1) - 0.5 * spread) : sorted[0], high = higher ? sorted[sorted.length - 1] : Math.min(sorted[sorted.length - 1], cut(0.9) + 0.5 * spread);
    const pad = 0.08 * (high - low || 1);
    const ends = best.flatMap((i) => choice.interval(seen[i])).filter((v) => known(v) && v > low - spread && v < high + spread);
    const [y0, y1] = [Math.min(low, ...ends) - pad, Math.max(high, ...ends) + pad];
    const [x0, x1] = [Math.min(...xs) - 0.15, Math.max(...xs) + 0.15];
    const X = (v) => left + (wide - left - right) * (Math.log10(v) - x0) / (x1 - x0);
    const Y = (v) => tall - bottom - (tall - top - bottom) * (Math.max(y0, Math.min(y1, v)) - y0) / (y1 - y0);
    const measure = spared.measure(choice.metric);
    const named = (row) => `${rowName(row)} · ${row.completer}`;
    // As short as tells it from the other rows.
    const short = (row) => seen.some((other) => other !== row && rowName(other) === rowName(row)) ? named(row) : rowName(row);
    const root = svg("svg", { viewBox: `0 0 ${wide} ${tall}`, class: "cost", role: "img", "aria-label": `${capital(measure)} against ${title}. On the front: ${best.map((i) => `${named(seen[i])} ${spared.score(values[i])} at ${write(seen[i][key])}`).join("; ")}` });
    for (let e = Math.ceil(x0); e <= Math.floor(x1); e++) root.append(svg("line", { x1: X(10 ** e), x2: X(10 ** e), y1: top, y2: tall - bottom, class: "grid" }), svg("text", { x: X(10 ** e), y: tall - bottom + 15, "text-anchor": "middle" }, write(10 ** e)));
    const step = nice((y1 - y0) / 5), digits = Math.max(0, Math.min(6, 1 - Math.floor(Math.log10(step) + 0.01)));
    for (let v = Math.ceil(y0 / step) * step; v <= y1; v += step) { root.append(svg("line", { x1: left, x2: wide - right, y1: Y(v), y2: Y(v), class: "grid" }), svg("text", { x: left - 6, y: Y(v) + 4, "text-anchor": "end" }, Math.abs(v) < 1e5 ? v.toFixed(digits) : v.toPrecision(3))); }
    root.append(svg("text", { x: (left + wide - right) / 2, y: tall - 6, "text-anchor": "middle", class: "axis" }, `${title} (log scale)`), svg("text", { x: 12, y: (top + tall - bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${(top + tall - bottom) / 2})`, class: "axis" }, `${measure}, ${higher ? "higher" : "lower"} is better`));
    const steps = best.flatMap((i, n) => n ? [[X(points[i][0]), Y(values[best[n - 1]])], [X(points[i][0]), Y(values[i])]] : [[X(points[i][0]), Y(values[i])]]);
    root.append(svg("polyline", { points: steps.map((p) => p.join(",")).join(" "), class: "front" }));
    const onFront = new Set(best);
    // Of many rows, those behind the front are one path each for points and for what is clipped.
    const many = seen.length > MOST_TITLES, crowd = { points: "", clipped: "" };
    const triangle = (x, y, above) => `M${x.toFixed(1)},${y.toFixed(1)} m-4,${above ? 4 : -4} h8 l-4,${above ? -7 : 7} z`;
    const marks = [];
    const order = seen.map((_, i) => i).sort((a, b) => onFront.has(a) - onFront.has(b));
    for (const i of order) {
      const row = seen[i], x = X(points[i][0]), y = Y(values[i]), above = values[i] > y1, beyond = above || values[i] < y0;
      if (many && !onFront.has(i)) {
        if (beyond) crowd.clipped += triangle(x, y, above); else crowd.points += `M${x.toFixed(1)},${y.toFixed(1)}h0`;
        continue;
      }
      if (onFront.has(i)) {
        const [a, b] = choice.interval(row);
        if (known(a)) marks.push(svg("line", { x1: x, x2: x, y1: Y(a), y2: Y(b), class: "range" }));
      }
      const mark = beyond ? svg("path", { d: triangle(x, y, above), class: "clipped" })
        : svg("circle", { cx: x, cy: y, r: onFront.has(i) ? 5 : 3.5, class: onFront.has(i) ? "best" : "" });
      mark.dataset.tip = `${named(row)}: ${measure} ${spared.score(values[i])}, ${title} ${write(row[key])}${row.claimed ? " (claimed)" : ""}`;
      marks.push(mark);
    }
    if (crowd.points) root.append(svg("path", { d: crowd.points, class: "crowd" }));
    if (crowd.clipped) root.append(svg("path", { d: crowd.clipped, class: "clipped" }));
    root.append(...marks);
    const at = (i) => ({ x: X(points[i][0]), y: Y(values[i]) });
    label(root, best.map((i) => ({ ...at(i), text: short(seen[i]) })).reverse().slice(0, MOST_LABELS), { left, right: wide - 2, top, bottom: tall - bottom },
      segments(steps), many ? [] : seen.map((_, i) => at(i)));
    return root;
  }

  // A step of 1, 2 or 5 times a power of ten.
  function nice(about) {
    const power = 10 ** Math.floor(Math.log10(about));
    return [1, 2, 5, 10].find((each) => each * power >= about) * power;
  }

  // Names beside their points, the best first: each at the nearest place where it lies on no other name,
  // on no point and not on the front, if there is one; else on no other name and no point of the front;
  // from afar with a line to its point. One that has no such place is left out; its point says it where
  // it is pointed at.
  const LINE = 12, REACH = 6, MOST_NAME = 34;
  const pen = document.createElement("canvas").getContext("2d");
  const around = ({ x, y }, size) => ({ left: x - size, right: x + size, top: y - size, bottom: y + size });
  function label(root, names, edges, front, points) {
    const taken = names.map((each) => around(each, 6)), better = [...front, ...points.map((each) => around(each, 3))];
    pen.font = `600 11.5px ${getComputedStyle(document.body).fontFamily}`; // as .cost .name of the style
    for (const { x, y, text } of names) {
      const shown = text.length > MOST_NAME ? `${text.slice(0, MOST_NAME - 1)}…` : text, width = pen.measureText(shown).width + 1;
      const free = places(x, y, width).filter((each) => each.left >= edges.left && each.right <= edges.right && each.top >= edges.top - 8 && each.bottom <= edges.bottom && !taken.some((other) => overlap(each, other)));
      const box = free.find((each) => !better.some((other) => overlap(each, other))) || free[0];
      if (!box) continue;
      taken.push(box);
      if (box.far) root.append(svg("line", { x1: x, y1: y, x2: box.left > x ? box.left : box.right < x ? box.right : x, y2: box.top > y ? box.top : box.bottom < y ? box.bottom : y, class: "leader" }));
      root.append(svg("text", { x: box.left, y: box.bottom - 3, class: "name" }, shown));
    }
  }
  // The pieces of the front, as thin boxes.
  const segments = (steps) => steps.slice(1).map(([x, y], n) => ({ left: Math.min(x, steps[n][0]) - 1, right: Math.max(x, steps[n][0]) + 1, top: Math.min(y, steps[n][1]) - 1, bottom: Math.max(y, steps[n][1]) + 1 }));
  const overlap = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  // Right and left of a point, then above and below it, farther and farther away.
  function places(x, y, width) {
    const found = [];
    for (let step = 0; step <= REACH; step++) {
      for (const side of step ? [-1, 1] : [0]) {
        for (const left of step > 1 ? [x + 8, x - 8 - width, x - width / 2, x + 32, x - 32 - width] : [x + 8, x - 8 - width]) {
          const top = y - LINE / 2 + side * step * LINE;
          found.push({ left, right: left + width, top, bottom: top + LINE, far: step > 1 });
        }
      }
    }
    return found;
  }

  // Of what is drawn, and of nothing else.
  function legend(drawn, metric) {
    const has = (mark) => drawn.querySelector(`.${mark}`);
    return el("p", { class: "note" }, "Line: ", spared.words.term("pareto", "Pareto front"), has("range") ? "; bars: 95 % intervals" : "", has("clipped") ? "; triangles lie beyond the axis" : "", metric.normalised ? ["; ", spared.words.term("normalised", "normalised"), `: ${spared.words.RELATIVE.split(";")[0]}`] : "", ".");
  }

  return { chart, front, kind, usable, legend, KINDS };
})();
