"use strict";
// An interval as a whisker on one scale for all rows.

spared.whiskers = (() => {
  const { known } = spared.parts;

  // The scale: from the best to where ranked rows end, those far behind aside (Tukey's fence); what
  // lies beyond is marked as clipped.
  function domain(choice) {
    const ends = choice.order.slice(0, 400).flatMap((row) => {
      const { interval, overall } = choice.of(row);
      return known(interval?.[0]) ? [[interval[0], interval[1]]] : known(overall) ? [[overall, overall]] : [];
    });
    if (!ends.length) return null;
    const low = Math.min(...ends.map((each) => each[0])), highs = ends.map((each) => each[1]).sort((a, b) => a - b);
    const quartile = (share) => highs[Math.round(share * (highs.length - 1))];
    const high = Math.min(highs[highs.length - 1], quartile(0.75) + 1.5 * (quartile(0.75) - quartile(0.25)));
    const margin = 0.04 * (high - low) || Math.abs(low) * 0.05 || 1;
    return [low - margin, high + margin];
  }

  const at = ([low, high], v) => 100 * Math.max(0, Math.min(1, (v - low) / (high - low)));
  const outside = ([low, high], v) => v > high ? "beyond" : v < low ? "before" : "";

  // Numbers only reach the style: what is drawn needs no escaping.
  function draw(scale, centre, [low, high]) {
    if (!scale || !known(centre) || !known(low)) return "";
    const point = `<i class="dot ${outside(scale, centre)}" style="left:${at(scale, centre).toFixed(1)}%"></i>`;
    const line = `<i class="line ${outside(scale, high)}" style="left:${at(scale, low).toFixed(1)}%;width:${Math.max(0.5, at(scale, high) - at(scale, low)).toFixed(1)}%"></i>`;
    return `<span class="whisker" aria-hidden="true">${line}${point}</span>`;
  }

  return { domain, draw };
})();
