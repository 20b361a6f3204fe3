"use strict";
// Which rows and datasets the filters leave, and what follows: means, ranks, intervals, ties.

spared.choice = (() => {
  const { metricAt, scores, error } = spared;
  const { known } = spared.parts;
  const ROW_FILTERS = ["completer", "scope", "trust", "weights", "budget"];
  const COLUMN_FILTERS = ["organism", "tissue", "technology", "tier"];
  const FEWEST = 5; // datasets, of which fewer have no interval (statistics/intervals.py)
  const mean = (values) => values.length ? values.reduce((a, b) => a + b, 0) / values.length : null;

  // "Visium" is a technology, whatever stands in brackets or after a comma behind it, and however it is written.
  const SHORT = { visium: "Visium", "visium hd": "Visium HD", xenium: "Xenium", "spatial transcriptomics": "ST", "legacy st": "ST" };
  const LONG = { ST: "Spatial Transcriptomics (ST)" };
  function technology(text) {
    const name = String(text || "").replace(/\s*(\(.*\)|,.*)$/, ""), key = name.toLowerCase();
    return Object.hasOwn(SHORT, key) ? SHORT[key] : name;
  }
  const technologyInFull = (text) => LONG[technology(text)] || technology(text);
  // "breast" stands for "breast cancer" too.
  const words = (text) => ` ${String(text || "").toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ").trim()} `;
  const fits = (column, wanted, field) => !wanted || column[field] === wanted
    || (field === "tissue" && words(column.tissue).includes(words(wanted))) || (field === "technology" && technology(column.technology) === technology(wanted));

  function chosenColumns(board, params) {
    const named = params.getAll("dataset").filter((name) => board.datasets.some((c) => c.name === name));
    return board.datasets.map((c, i) => i).filter((i) => {
      const column = board.datasets[i];
      return (!named.length || named.includes(column.name)) && COLUMN_FILTERS.every((f) => fits(column, params.get(f), f));
    });
  }

  // Whether a method needs a GPU: what ran on a processor does not; else as its plugin says of its
  // published size; null where nobody says.
  const ranOn = (row) => row.claimed ? "" : row.cells.machine?.[0] || "";
  const processors = (machine) => machine && machine.split(", ").every((each) => /^(x86|arm|aarch)/i.test(each));
  const plugin = (row) => spared.values.get("index").predictors?.[row.predictor];
  function needsGpu(row) {
    return processors(ranOn(row)) ? false : plugin(row)?.gpu ?? null;
  }
  // What is known of it, in words, and who says it.
  function gpuSaid(row) {
    const machine = ranOn(row), says = plugin(row)?.gpu;
    const ran = processors(machine) ? `here it was trained and run without one, on a processor (${machine.replace(/ \(.*\)$/, "")}), in the size that this protocol asks for.` : machine ? `here it ran on ${machine}.` : "it did not run here, or on what is not known.";
    return `${ran} ${says === undefined ? "No plugin here says whether it needs one in its published size." : says ? "Its plugin here says that training its published size without one is hopeless." : "Its plugin here says that its published size can be trained without one."}`;
  }
  const BUDGETS = [["", "any machine"], ["cpu", "no GPU"], ["quick", "no GPU and ten minutes"]];
  const QUICK = 600;
  const affords = (row, budget) => budget === "cpu" ? needsGpu(row) === false
    : budget === "quick" ? needsGpu(row) === false && known(row.seconds) && row.seconds <= QUICK : true;
  const passes = (row, params) => ROW_FILTERS.every((f) => f === "budget" ? affords(row, params.get(f)) : !params.get(f) || row[f] === params.get(f));

  // Student's 95 % interval of the mean of some values; of too few, none.
  function intervalOf(board, some) {
    const n = some.length;
    if (n < FEWEST) return [null, null];
    const middle = mean(some), sd = Math.hypot(...some.map((v) => v - middle)) / Math.sqrt(n - 1);
    const reach = board.standard_errors[n] * sd / Math.sqrt(n);
    return [middle - reach, middle + reach];
  }

  // Of complete rows, which have a rank: all, of every method the best, or those of one completer.
  function chosenRows(board, rows, err) {
    if (board.completer === "all") return rows;
    if (board.completer !== "best") return rows.filter((row) => row.completer === board.completer);
    const best = new Map();
    for (const row of rows) {
      const name = JSON.stringify([row.trust, row.method, row.version, row.predictor]), other = best.get(name);
      if (!other || err(row) < err(other) || (err(row) === err(other) && row.completer < other.completer)) best.set(name, row);
    }
    return [...best.values()];
  }

  // For every row its mean, rank and interval by the chosen metric: of its normalised errors, or of
  // its values where it has no perfect one.
  function select(board, params) {
    const k = spared.metricIndex(board, params), metric = metricAt(board, k);
    const values = (row) => metric.normalised ? scores(row, k).normalised : scores(row, k).mean;
    const columns = chosenColumns(board, params);
    const counted = columns.filter((i) => board.datasets[i].counts);
    const all = board.datasets.filter((c) => c.counts).length === counted.length;
    const passing = board.rows.filter((row) => passes(row, params));
    const whole = all && k === 0 && passing.length === board.rows.length;
    const found = new Map();
    const err = (row) => metric.normalised ? found.get(row).overall : error(metric, found.get(row).overall);
    board.rows.forEach((row) => {
      const here = counted.map((i) => values(row)[i]).filter(known);
      const complete = counted.length > 0 && counted.every((i) => known(scores(row, k).mean[i]) && !row.failed[i]);
      found.set(row, { overall: mean(here), covered: here.length, complete,
        ranked: complete && here.length > 0 && !row.control && row.withdrawn === null,
        interval: all ? scores(row, k).interval : null, rank: whole ? row.rank : null });
    });
    if (!whole) {
      const chosen = chosenRows(board, passing.filter((row) => found.get(row).ranked), err);
      const order = chosen.map(err).sort((a, b) => a - b);
      const place = new Map();
      order.forEach((value, at) => { if (!place.has(value)) place.set(value, at + 1); });
      for (const row of chosen) found.get(row).rank = place.get(err(row));
    }
    // The mean by any metric, over the same datasets.
    const meanBy = (row, j) => mean(counted.map((i) => scores(row, j).mean[i]).filter(known));
    const query = (params.get("q") || "").toLowerCase().split(/\s+/).filter(Boolean);
    const rows = passing.filter((row) => (!row.control || params.get("controls") !== "0") && query.every((word) => text(row).includes(word)));
    const onCounted = (some) => counted.map((i) => some[i]).filter(known);
    const interval = (row) => found.get(row).interval ??= intervalOf(board, onCounted(values(row)));
    const differences = (a, b) => onCounted(values(a).map((v, i) => known(v) && known(values(b)[i]) ? v - values(b)[i] : null));
    const order = board.rows.filter((row) => known(found.get(row).rank)).sort((a, b) => found.get(a).rank - found.get(b).rank);
    // Whether the difference from the first may be none; null where there are too few datasets.
    const tied = (row) => {
      const mine = found.get(row);
      if (!known(mine.rank) || counted.length < FEWEST) return null;
      if (mine.tied === undefined) {
        const [low, high] = intervalOf(board, differences(row, order[0]));
        mine.tied = known(low) && low <= 0 && high >= 0;
      }
      return mine.tied;
    };
    // The best control that is as good as a row, or better; undefined where there is none.
    const unbeaten = (row) => board.rows.filter((each) => each.control && found.get(each).complete && known(found.get(each).overall) && err(each) <= err(row)).sort((a, b) => err(a) - err(b))[0];
    // The mean difference of two rows over the datasets that both have, and its interval.
    const between = (a, b) => {
      const some = differences(a, b);
      return { mean: mean(some), interval: intervalOf(board, some) };
    };
    return { between, columns, counted, rows: new Set(rows), order, of: (row) => found.get(row), interval, tied, unbeaten, whole, k, metric, values, err, meanBy, fewest: FEWEST };
  }

  function text(row) {
    row.words ??= [row.predictor, row.method, row.version, row.completer, row.scope, row.weights, row.trust].join(" ").toLowerCase();
    return row.words;
  }

  return { select, fits, needsGpu, gpuSaid, technology, technologyInFull, BUDGETS, ROW_FILTERS, COLUMN_FILTERS };
})();
