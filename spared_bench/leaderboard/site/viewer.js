"use strict";
// Pictures of one slide that move together: tissue below, spots of their true size above.

spared.viewer = (() => {
  const { el } = spared;
  const MOST_ZOOM = 40, TAP = 8; // px that a finger may slip
  const RAMPS = {
    expression: ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"],
    difference: ["#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7", "#fddbc7", "#f4a582", "#d6604d", "#b2182b"],
    variance: ["#ffffcc", "#d9f0a3", "#addd8e", "#78c679", "#41ab5d", "#238443", "#005a32"], // on tissue, which is purple
  };
  const TABLES = Object.fromEntries(Object.entries(RAMPS).map(([name, colours]) => [name, table(colours)]));

  // 256 colours between those of a ramp.
  function table(colours) {
    const rgb = colours.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
    return Array.from({ length: 256 }, (_, i) => {
      const at = (i / 255) * (rgb.length - 1), low = Math.min(rgb.length - 2, Math.floor(at));
      return `rgb(${[0, 1, 2].map((k) => Math.round(rgb[low][k] + (at - low) * (rgb[low + 1][k] - rgb[low][k]))).join(",")})`;
    });
  }

  const css = (ramp) => `linear-gradient(90deg, ${RAMPS[ramp].join(", ")})`;

  // Of values that may be as many as a slide has spots: more than a function takes as arguments.
  const lowest = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
  const highest = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);

  // Where the readers say nothing of a spot's size: a little less than the distance to the next.
  function guessed(x, y) {
    const some = x.slice(0, 200).map((_, i) => x.reduce((least, each, j) => i === j ? least : Math.min(least, Math.hypot(each - x[i], y[j] - y[i])), Infinity));
    const finite = some.filter(Number.isFinite).sort((a, b) => a - b);
    return finite.length ? 0.8 * finite[Math.floor(finite.length / 2)] : 1;
  }

  // geometry: x, y, diameter, picture (left, top, width, height, image) or null. `told` is called
  // with {zoom, x, y} when the reader has moved, `pointed` with the place of a spot, or -1.
  function create({ x, y, diameter, picture }, told, pointed) {
    const size = diameter || guessed(x, y);
    const edges = picture ? [picture.left, picture.top, picture.left + picture.width, picture.top + picture.height]
      : [lowest(x) - size, lowest(y) - size, highest(x) + size, highest(y) + size];
    const wide = edges[2] - edges[0] || 1, tall = edges[3] - edges[1] || 1;
    const panels = [];
    let view = { zoom: 1, x: edges[0] + wide / 2, y: edges[1] + tall / 2 }, opacity = 0.85, spot = -1, asked = false;

    const ratio = Math.max(0.35, Math.min(1.35, tall / wide));
    function scaleOf(canvas) { return Math.min(canvas.width / wide, canvas.height / tall) * view.zoom; }

    function resize(canvas) {
      const width = Math.max(200, Math.round(canvas.clientWidth * Math.min(2, devicePixelRatio || 1)));
      if (canvas.width !== width) { canvas.width = width; canvas.height = Math.round(width * ratio); }
    }

    function paint({ canvas, data }) {
      resize(canvas);
      const draw = canvas.getContext("2d"), s = scaleOf(canvas);
      draw.setTransform(1, 0, 0, 1, 0, 0);
      draw.clearRect(0, 0, canvas.width, canvas.height);
      draw.setTransform(s, 0, 0, s, canvas.width / 2 - view.x * s, canvas.height / 2 - view.y * s);
      if (picture) { draw.imageSmoothingEnabled = true; draw.drawImage(picture.image, picture.left, picture.top, picture.width, picture.height); }
      if (data) spots(draw, data, s);
      if (spot >= 0) { draw.globalAlpha = 1; ring(draw, spot, 1.35 * size / 2, "#000000", 4 / s); ring(draw, spot, 1.35 * size / 2, "#ffffff", 2 / s); }
      draw.globalAlpha = 1;
    }
    function ring(draw, i, radius, colour, width) { draw.beginPath(); draw.arc(x[i], y[i], radius, 0, 7); draw.strokeStyle = colour; draw.lineWidth = width; draw.stroke(); }

    function spots(draw, { values, low, high, ramp }, s) {
      const colours = TABLES[ramp], radius = Math.max(size / 2, 0.8 / s), span = high - low || 1;
      draw.globalAlpha = opacity;
      values.forEach((value, i) => {
        if (value === null) return;
        draw.beginPath();
        draw.arc(x[i], y[i], radius, 0, 7);
        draw.fillStyle = colours[Math.max(0, Math.min(255, Math.round(255 * (value - low) / span)))];
        draw.fill();
        if (ramp !== "expression") { draw.lineWidth = Math.max(0.6 / s, 0.03 * size); draw.strokeStyle = "rgba(0, 0, 0, .45)"; draw.stroke(); } // where colours are pale
      });
      draw.strokeStyle = "#7d858d";
      draw.lineWidth = Math.max(1 / s, 0.08 * size);
      values.forEach((value, i) => { if (value === null) { draw.beginPath(); draw.arc(x[i], y[i], 0.8 * radius, 0, 7); draw.stroke(); } });
    }

    function redraw() {
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => { asked = false; panels.forEach(paint); });
    }

    function clamp() {
      view.zoom = Math.max(1, Math.min(MOST_ZOOM, view.zoom));
      view.x = Math.max(edges[0], Math.min(edges[2], view.x));
      view.y = Math.max(edges[1], Math.min(edges[3], view.y));
    }
    let waiting = 0;
    function moved() {
      clamp();
      redraw();
      clearTimeout(waiting);
      waiting = setTimeout(() => told({ ...view, whole: view.zoom === 1 }), 150);
    }
    // The place of a pointer on the slide, in full-resolution pixels.
    function placeOf(canvas, event) {
      const box = canvas.getBoundingClientRect(), s = scaleOf(canvas), ratio_ = canvas.width / box.width;
      return [view.x + ((event.clientX - box.left) * ratio_ - canvas.width / 2) / s, view.y + ((event.clientY - box.top) * ratio_ - canvas.height / 2) / s];
    }
    function zoom(factor, at = [view.x, view.y]) {
      const before = view.zoom;
      view.zoom = Math.max(1, Math.min(MOST_ZOOM, before * factor));
      const share = 1 - before / view.zoom;
      view.x += (at[0] - view.x) * share;
      view.y += (at[1] - view.y) * share;
      if (view.zoom === 1) [view.x, view.y] = [edges[0] + wide / 2, edges[1] + tall / 2];
      moved();
    }
    function pan(dx, dy) { view.x += dx * wide / view.zoom; view.y += dy * tall / view.zoom; moved(); }
    const KEYS = { "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: () => zoom(1 / MOST_ZOOM), ArrowLeft: () => pan(-0.1, 0), ArrowRight: () => pan(0.1, 0), ArrowUp: () => pan(0, -0.1), ArrowDown: () => pan(0, 0.1) };

    function nearest([px, py]) {
      let best = -1, distance = (0.75 * size) ** 2;
      for (let i = 0; i < x.length; i++) { const d = (x[i] - px) ** 2 + (y[i] - py) ** 2; if (d < distance) { distance = d; best = i; } }
      return best;
    }

    function listen(canvas) {
      const down = new Map();
      canvas.addEventListener("pointerdown", (event) => { down.set(event.pointerId, [event.clientX, event.clientY]); canvas.setPointerCapture(event.pointerId); });
      const up = (event) => down.delete(event.pointerId);
      let from = [0, 0];
      canvas.addEventListener("pointerdown", (event) => { from = [event.clientX, event.clientY]; });
      canvas.addEventListener("pointerup", (event) => {
        up(event);
        // A finger does not hover: it taps a spot, and a place beside them to let go of it.
        if (event.pointerType !== "mouse" && Math.hypot(event.clientX - from[0], event.clientY - from[1]) < TAP) point(nearest(placeOf(canvas, event)));
      });
      canvas.addEventListener("pointercancel", up);
      canvas.addEventListener("pointermove", (event) => {
        const last = down.get(event.pointerId);
        if (!last) { point(nearest(placeOf(canvas, event))); return; }
        const s = scaleOf(canvas) * canvas.clientWidth / canvas.width;
        if (down.size === 2) {
          const [other] = [...down].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
          const before = Math.hypot(last[0] - other[0], last[1] - other[1]), after = Math.hypot(event.clientX - other[0], event.clientY - other[1]);
          if (before > 0) zoom(after / before);
        } else { view.x -= (event.clientX - last[0]) / s; view.y -= (event.clientY - last[1]) / s; moved(); }
        down.set(event.pointerId, [event.clientX, event.clientY]);
      });
      canvas.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") point(-1); });
      // Else the page scrolls: a picture that was clicked, or Ctrl, zooms.
      canvas.addEventListener("wheel", (event) => {
        if (!event.ctrlKey && document.activeElement !== canvas) return;
        event.preventDefault();
        zoom(Math.exp(-event.deltaY / 400), placeOf(canvas, event));
      }, { passive: false });
      canvas.addEventListener("keydown", (event) => { if (Object.hasOwn(KEYS, event.key) && !event.ctrlKey && !event.metaKey) { event.preventDefault(); KEYS[event.key](); } });
    }
    function point(i) {
      if (i === spot) return;
      spot = i;
      redraw();
      // Each picture says its own value too: the line below them may be out of sight.
      for (const { data, caption, title } of panels) if (data) caption.textContent = i < 0 ? title : `${title}: ${data.values[i] === null ? "nothing" : spared.score(data.values[i])}`;
      pointed(i);
    }

    // A picture of one thing; `data` is null for the tissue alone.
    function panel(title, data, below) {
      const canvas = el("canvas", { role: "img", tabindex: "0", "aria-label": title, width: 400, height: Math.round(400 * ratio), style: `aspect-ratio: ${(1 / ratio).toFixed(4)}` });
      listen(canvas);
      const caption = el("figcaption", {}, title);
      panels.push({ canvas, data, caption, title });
      return el("figure", {}, caption, canvas, below || "");
    }

    const watch = new ResizeObserver(redraw);
    return {
      panel, redraw, zoom, watch: (node) => watch.observe(node),
      reset: () => zoom(1 / MOST_ZOOM),
      place: (next) => { if ([next.zoom, next.x, next.y].every(Number.isFinite)) { view = { ...next }; clamp(); } },
      opacity: (share) => { opacity = share; redraw(); },
      size,
    };
  }

  return { create, css };
})();
