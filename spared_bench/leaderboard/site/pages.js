"use strict";
// The page of a method and of a dataset.

(() => {
  const { el, score, count, duration, link, table, rowName, none, metricAt, scores, write, error, extreme, measure } = spared;
  const known = (v) => v !== null && v !== undefined;
  const plusMinus = (value, spread, show) => show(value) + (known(spread) ? ` ± ${show(spread)}` : "");
  const facts = (pairs) => el("dl", { class: "facts" }, pairs.filter(([, v]) => known(v) && v !== "" && !(Array.isArray(v) && !v.length)).map(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]));
  // Only addresses of the web become links.
  const source = (text) => /^https?:\/\/\S+$/.test(text) ? el("a", { href: text, rel: "noreferrer noopener" }, text) : text;
  const flagged = (flags) => flags.length ? el("ul", { class: "flags" }, flags.map(([kind, why, dataset]) => el("li", {}, `⚑ ${kind}${dataset ? ` (${dataset})` : ""}: ${why}`))) : null;
  const yes = (value) => value ? "yes" : "no";

  // The columns of the board that have one value per dataset, of the metrics that a table shows.
  const COMPUTED = {
    score: (k, metric) => (row, i) => plusMinus(scores(row, k).mean[i], scores(row, k).sd[i], write(metric)),
    normalised_score: (k) => (row, i) => score(scores(row, k).normalised[i]),
    score_interval: (k, metric) => (row, i) => spared.ranking.range(scores(row, k).slides[i] || [null, null], write(metric)),
    seeds: () => (row, i) => row.failed[i] ? `${row.seeds[i]} of ${row.seeds[i] + row.failed[i]}` : row.seeds[i],
  };

  function scored(board, k) {
    return board.columns.filter((c) => c.per.includes("dataset")).flatMap((c) => spared.ranking.metricsOf(board, c, k).map((j) => {
      const metric = j === null ? null : metricAt(board, j);
      const cell = (row, i) => (j === null ? row.cells[c.key] : row.cells[c.key][j])[i][1];
      return { title: spared.ranking.titled(c, metric), show: c.computed ? COMPUTED[c.key](j, metric) : cell };
    }));
  }

  // And those that have one value per row and that the page does not compute, for a row's facts.
  function described(board, row) {
    return board.columns.filter((c) => !c.computed && !c.per.includes("dataset") && !SAID.includes(c.key)).flatMap((c) => (c.per.includes("metric") ? board.metrics : [null]).map((metric, j) =>
      [spared.ranking.titled(c, metric), (metric ? row.cells[c.key][j] : row.cells[c.key])[1]]));
  }
  const SAID = ["completer", "n_parameters", "fit_seconds"]; // in other words

  spared.views.method = async ({ board, maps, protocol }, view, [id]) => {
    const row = board.rows.find((each) => each.id === id);
    if (!row) return view.replaceChildren(el("p", { class: "banner" }, "There is no such row on this board."));
    const more = await spared.ofProtocol(protocol, `method-${id}`);
    const params = spared.state().params;
    const choice = spared.ranking.select(board, new URLSearchParams({ metric: params.get("metric") || "" }));
    const { k, metric } = choice, columns = scored(board, k), second = board.headline[board.headline.length - 1];
    const overall = metric.normalised ? score : write(metric), bounds = scores(row, k).interval;
    const here = choice.of(row);
    const others = board.rows.filter((each) => each !== row && each.predictor === row.predictor);
    view.replaceChildren(
      el("p", { class: "crumbs" }, link(["table"], "Ranking"), " / method"),
      el("h2", {}, el("bdi", {}, rowName(row)), row.completer ? ` with completer ${row.completer}` : ""),
      more.about.summary ? el("p", { class: "lead" }, more.about.summary) : "",
      row.withdrawn !== null ? el("p", { class: "banner" }, `Withdrawn: ${row.withdrawn}`) : "",
      flagged(row.flags) || "",
      facts([
        ["Rank", known(here.rank) ? `${here.rank}` : row.control ? "control" : "not ranked"],
        [`Mean ${measure(metric)}`, known(here.overall) ? `${overall(here.overall)}${known(bounds[0]) ? ` (95 %: ${overall(bounds[0])} to ${overall(bounds[1])})` : ""}, over ${here.covered} of ${choice.counted.length} datasets` : null],
        ...(second === undefined || second === k ? [] : [[`Mean ${metricAt(board, second).title}`, known(choice.meanBy(row, second)) ? write(metricAt(board, second))(choice.meanBy(row, second)) : null]]),
        ["Predictor", row.predictor], ...described(board, row),
        ["Source", row.source ? source(row.source) : null], ["From the package", more.about.distribution], ["Trained towards", more.about.target],
        ["Trainable parameters", known(row.parameters) ? spared.claimed(row, `${count(row.parameters)} (${row.parameters})`) : null],
        ["Training", known(row.seconds) ? spared.claimed(row, `${duration(row.seconds)} on average`) : null],
        ["Searched", (more.about.searched || []).join(", ")],
      ]),
      el("h3", {}, "Per dataset"), el("div", { class: "controls" }, spared.chooseMetric(board, ["method", id])),
      table(["Dataset", ...columns.map((c) => c.title), "Maps"], board.datasets.map((column, i) => [
        link(["dataset", column.name], column.name), ...columns.map((c) => c.show(row, i)),
        maps[id]?.[column.name] ? link(["map", id, column.name], "slides and genes") : none,
      ]), "Scores per dataset"),
      ...calibration(more),
      el("h3", {}, "Trials"),
      el("p", {}, "The settings that each result was made with. A key is the hash of all that determines it, and names its entry in the store."),
      ...more.trials.map((trial) => el("details", {}, el("summary", {}, `${trial.dataset}, seed ${trial.seed}: ${trial.status}`),
        facts([["Key", el("code", {}, trial.key)], ["Trainable parameters", trial.n_parameters],
          ...board.metrics.map((m) => [m.title, known(trial.scores[m.name]) ? write(m)(trial.scores[m.name]) : null]),
          ...Object.entries(trial.seconds).map(([name, v]) => [`time: ${name}`, duration(v)]),
          ...Object.entries(trial.parameters).map(([name, v]) => [name, typeof v === "object" ? JSON.stringify(v) : String(v)])]),
        Object.keys(trial.slides).length ? table(["Slide", ...board.metrics.map((m) => m.title)], Object.entries(trial.slides).map(([slide, s]) => [slide, ...board.metrics.map((m) => write(m)(s[m.name]))]), "Slides") : null,
        trial.confusion.length ? table(["Label", ...trial.classes.map((name) => `as ${name}`)], trial.confusion.map((line, i) => [trial.classes[i], ...line]), "Labelled spots by label and predicted class") : null)),
      more.provenance.length ? el("h3", {}, "Provenance") : "",
      ...more.provenance.map((made) => facts([
        ["Trials", made.trials], ["Predictor", made.code], ["Commit", made.commit], ["Device", made.device], ["Machine", made.machine], ["Driver", made.driver],
        ["Precision", made.precision], ["Python", made.python], ["Packages", made.packages], ["Platform", made.platform],
      ])),
      more.studies.length ? el("h3", {}, "Studies") : "",
      more.studies.length ? el("p", {}, "Comparisons of settings in which this method stands, in this workspace.") : "",
      ...more.studies.map(([name, summary, href]) => el("p", {}, el("a", { href }, name), summary ? `: ${summary}` : "")),
      el("h3", {}, "History"),
      others.length ? table(["Row", "Completer", "Trust", `Mean ${measure(metric)}`], others.map((each) => [link(["method", each.id], rowName(each)), each.completer, each.trust, overall(choice.of(each).overall)]), "Other versions, completers and sources of this predictor")
        : el("p", {}, "No other version, completer or source of this predictor is on the board."),
    );
    await drawCalibration(more, view);
  };

  // How much of the truth lies in the intervals that a method predicts, where it predicts any.
  const sure = (more) => more.trials.filter((trial) => trial.calibration.length);
  const percent = (v) => known(v) ? `${(100 * v).toFixed(1)} %` : none;
  function calibration(more) {
    if (!sure(more).length) return [];
    const shown = more.levels.map((level, i) => [level, i]).filter(([level]) => [0.5, 0.9].includes(level));
    return [
      el("h3", {}, "Calibration"),
      el("p", {}, "Share of the measured entries within the central interval of the predicted normal distribution. On the line, a variance is right; below it, the method is surer than it may be."),
      el("div", { class: "plot calibration" }),
      table(["Dataset", "Seed", ...shown.map(([level]) => `within ${100 * level} %`)], sure(more).map((trial) => [trial.dataset, trial.seed, ...shown.map(([, i]) => percent(trial.calibration[i]))]), "Calibration"),
    ];
  }
  async function drawCalibration(more, view) {
    const node = view.querySelector(".calibration");
    if (!node) return;
    const line = { type: "scatter", mode: "lines", x: [0, 1], y: [0, 1], name: "as predicted", line: { dash: "dash", color: "#999999" }, hoverinfo: "skip" };
    const traces = sure(more).map((trial) => ({ type: "scatter", mode: "lines+markers", x: more.levels, y: trial.calibration, name: spared.esc(`${trial.dataset}, seed ${trial.seed}`) }));
    await spared.plot(node, "Share of the truth by the size of the predicted interval", [line, ...traces], { xaxis: { title: { text: "predicted interval" }, range: [0, 1] }, yaxis: { title: { text: "measured share" }, range: [0, 1] } });
  }

  spared.views.dataset = async ({ board, maps }, view, [name]) => {
    const i = board.datasets.findIndex((each) => each.name === name);
    if (i < 0) return view.replaceChildren(el("p", { class: "banner" }, "There is no such dataset on this board."));
    const column = board.datasets[i];
    const k = spared.metricIndex(board, spared.state().params), metric = metricAt(board, k), columns = scored(board, k);
    const value = (row) => scores(row, k).mean[i];
    const rows = board.rows.filter((row) => known(value(row))).sort((a, b) => error(metric, value(a)) - error(metric, value(b)));
    const order = board.datasets.filter((each) => each.counts && known(each.best[k])).sort((a, b) => error(metric, a.best[k]) - error(metric, b.best[k]));
    const place = order.indexOf(column), best = column.best[k];
    view.replaceChildren(
      el("p", { class: "crumbs" }, link(["table"], "Ranking"), " / dataset"),
      el("h2", {}, el("bdi", {}, name)),
      column.summary ? el("p", { class: "lead" }, column.summary) : "",
      facts([
        [`Best (${extreme(metric)}) ${metric.title}`, known(best) ? `${write(metric)(best)}${place < 0 ? "" : `: ${place + 1} of ${order.length} from the easiest`}` : null],
        ["Organism", column.organism], ["Tissue", column.tissue], ["Task", column.task], ["Technology", column.technology],
        ["Images", column.image], ["Tier", column.tier], ["Scored on", column.split],
        ["Spots", column.n_spots || null], ["Generated", column.synthetic ? "yes: in no mean and in no rank" : null],
        ["Of the protocol", column.listed ? null : "no: in no mean and in no rank"], ["Repeats the slides of", column.repeats.join(", ")], ["Donors in train and test", column.shared_donors.join(", ")], ["Slides in doubt", column.doubts.join("; ")], ["Donors verified", known(column.donors_verified) ? yes(column.donors_verified) : null],
        ["Raw counts", known(column.raw_counts) ? yes(column.raw_counts) : null], ["Licence", column.licence], ["Citation", column.citation],
        ["Pages", (column.links || []).map((each) => el("div", {}, source(each)))],
      ]),
      column.notes?.length ? el("ul", {}, column.notes.map((note) => el("li", {}, note))) : "",
      column.slides.length ? table(["Slide", "Donor", "Split"], column.slides.map((s) => [s.slide, s.donor, s.split]), "Slides") : "",
      el("h3", {}, "Methods"),
      el("div", { class: "controls" }, spared.chooseMetric(board, ["dataset", name])),
      table(["Method", "Completer", "Trust", ...columns.map((c) => c.title), "Maps"], rows.map((row) => [
        link(["method", row.id], rowName(row)), row.completer, row.trust, ...columns.map((c) => c.show(row, i)),
        maps[row.id]?.[name] ? link(["map", row.id, name], "slides and genes") : none,
      ]), `Scores on ${name}, best first`),
    );
  };
  spared.facts = facts;
  spared.flagged = flagged;
})();
