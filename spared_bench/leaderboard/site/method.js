"use strict";
// The page of a method: what it is, how it is run, what it reaches, and how it came to that.

(() => {
  const { el, score, count, duration, link, table, rowName, none, metricAt, scores, write, measure } = spared;
  const { known, facts, source, flagged, plural, capital } = spared.parts;
  const { running } = spared;

  const plusMinus = (value, spread, show) => show(value) + (known(spread) ? ` ± ${show(spread)}` : "");

  // The columns of the board that have one value per dataset, of the metrics that a table shows.
  const COMPUTED = {
    score: (k, metric) => (row, i) => plusMinus(scores(row, k).mean[i], scores(row, k).sd[i], write(metric)),
    normalised_score: (k) => (row, i) => score(scores(row, k).normalised[i]),
    score_interval: (k, metric) => (row, i) => spared.ranking.range(scores(row, k).slides[i] || [null, null], write(metric)),
    seeds: () => (row, i) => row.failed[i] ? `${row.seeds[i]} of ${row.seeds[i] + row.failed[i]}` : row.seeds[i],
  };

  spared.scored = (board, k) => board.columns.filter((c) => c.per.includes("dataset")).flatMap((c) => spared.ranking.metricsOf(board, c, k).map((j) => {
      const metric = j === null ? null : metricAt(board, j);
      const cell = (row, i) => (j === null ? row.cells[c.key] : row.cells[c.key][j])[i][1];
      return { title: spared.ranking.titled(c, metric), tip: c.explanation, show: c.computed ? COMPUTED[c.key](j, metric) : cell };
    }));

  // And those that have one value per row and that the page does not compute, for a row's facts.
  function described(board, row) {
    return board.columns.filter((c) => !c.computed && !c.per.includes("dataset") && !SAID.includes(c.key)).flatMap((c) => (c.per.includes("metric") ? board.metrics : [null]).map((metric, j) =>
      [spared.ranking.titled(c, metric), (metric ? row.cells[c.key][j] : row.cells[c.key])[1]])).filter(([, text]) => text !== none);
  }
  const SAID = ["completer", "n_parameters", "fit_seconds"]; // in other words

  spared.views.method = async ({ board, maps, protocol }, view, [id]) => {
    const row = board.rows.find((each) => each.id === id);
    if (!row) return view.replaceChildren(el("p", { class: "banner" }, `There is no such row under ${protocol}. `, link(["table"], "What there is")));
    const more = await spared.ofProtocol(protocol, `method-${id}`);
    const params = spared.state().params;
    const choice = spared.choice.select(board, params), asked = spared.choose.asked(params);
    const { k, metric } = choice, columns = spared.scored(board, k), second = board.headline[board.headline.length - 1];
    const overall = metric.normalised ? score : write(metric);
    const others = board.rows.filter((each) => each !== row && (each.predictor === row.predictor || (row.method && each.method === row.method)));
    const plugin = spared.values.get("index").predictors?.[row.predictor];
    view.replaceChildren(
      el("p", { class: "crumbs" }, link(["table"], "Ranking"), " / method"),
      el("h2", {}, el("bdi", {}, rowName(row)), row.completer ? ` with completer ${row.completer}` : ""),
      more.about.summary ? el("p", { class: "lead" }, more.about.summary) : "",
      row.withdrawn !== null ? el("p", { class: "banner" }, `Withdrawn: ${row.withdrawn}`) : "",
      flagged(row.flags) || "",
      facts([
        ...(asked ? [["Asked for", [`${asked}. `, link(["table"], "Its ranking")]]] : []),
        ["Rank", ranked(choice, row)], [`Mean ${measure(metric)}`, reached(choice, row)],
        ...(second === undefined || second === k ? [] : [[`Mean ${metricAt(board, second).title}`, known(choice.meanBy(row, second)) ? write(metricAt(board, second))(choice.meanBy(row, second)) : null]]),
        ...(asked ? [["Over all of the board", overAll(board, metric, row)]] : []),
      ]),
      el("h3", {}, "How to run it"), ...running.own(row, params), ...running.predicting(row), ...running.again(board, choice, row),
      el("h3", {}, "What it is"),
      facts([
        ["Predictor", row.predictor], ...described(board, row),
        ["Encoder", row.cells.encoder?.[0] ? null : encoder(plugin, more)], ["Pretrained on", plugin?.pretraining], ["Licence of the method", plugin?.licence], ["Paper", plugin?.citation],
        ["GPU", capital(spared.choice.gpuSaid(row))],
        ["Source", row.source ? source(row.source) : null], ["From the package", spared.claimed(row, more.about.distribution)], ["Trained towards", spared.claimed(row, more.about.target)],
        ["Trainable parameters", known(row.parameters) ? spared.claimed(row, `${count(row.parameters)} (${row.parameters})`) : null],
        ["Training", known(row.seconds) ? spared.claimed(row, `${duration(row.seconds)} on average`) : null],
        ["Searched", spared.claimed(row, (more.about.searched || []).join(", "))],
      ]),
      el("h3", {}, "Per dataset"), el("div", { class: "controls" }, spared.chooseMetric(board, ["method", id]), board.rows.length > 1 ? link(["compare", id], "Compare with another") : ""),
      table(["Dataset", ...columns.map((c) => ({ text: c.title, tip: c.tip })), "Maps"], askedFirst(board, choice).map((i) => [
        link(["dataset", board.datasets[i].name], board.datasets[i].name), ...columns.map((c) => c.show(row, i)),
        maps[id]?.[board.datasets[i].name] ? link(["map", id, board.datasets[i].name], "maps", { "aria-label": `Maps of ${board.datasets[i].name}` }) : none,
      ]), choice.columns.length < board.datasets.length ? `Scores per dataset; first ${choice.columns.length === 1 ? "the one that was" : `the ${choice.columns.length} that were`} asked for` : "Scores per dataset"),
      ...calibration(more),
      el("h3", {}, "Trials"),
      el("p", {}, "The settings that each result was made with. A key is the hash of all that determines it, and names its entry in the store.", row.claimed ? " All of it is claimed: nobody saw these trainings here." : ""),
      ...more.trials.map((trial) => el("details", {}, el("summary", {}, `${trial.dataset}, seed ${trial.seed}: ${trial.status}`),
        facts([["Key", el("code", {}, trial.key)], ["Trainable parameters", trial.n_parameters],
          ...board.metrics.map((m) => [m.title, known(trial.scores[m.name]) ? write(m)(trial.scores[m.name]) : null]),
          ...Object.entries(trial.seconds).map(([name, v]) => [`time: ${name}`, duration(v)]),
          ...Object.entries(trial.parameters).map(([name, v]) => [name, typeof v === "object" ? JSON.stringify(v) : String(v)])]),
        Object.keys(trial.slides).length ? table(["Slide", ...board.metrics.map((m) => m.title)], Object.entries(trial.slides).map(([slide, s]) => [slide, ...board.metrics.map((m) => write(m)(s[m.name]))]), "Slides") : null,
        trial.confusion.length ? table(["Label", ...trial.classes.map((name) => `as ${name}`)], trial.confusion.map((line, i) => [trial.classes[i], ...line]), "Labelled spots by label and predicted class") : null)),
      more.provenance.length ? el("h3", {}, "Provenance") : "",
      more.provenance.length && row.claimed ? el("p", { class: "note" }, "As the record says that came with it: nobody saw this here.") : "",
      ...more.provenance.map((made) => facts([
        ["Trials", made.trials], ["Predictor", made.code], ["Commit", made.commit], ["Device", made.device], ["Machine", made.machine], ["Threads", made.threads], ["Driver", made.driver],
        ["Precision", made.precision], ["Python", made.python], ["Packages", made.packages], ["Platform", made.platform],
      ])),
      more.studies.length ? el("h3", {}, "Studies") : "",
      more.studies.length ? el("p", {}, "Comparisons of settings in which this method stands, in this workspace.") : "",
      ...more.studies.map(([name, summary, href]) => el("p", {}, el("a", { href }, name), summary ? `: ${summary}` : "")),
      el("h3", {}, "History and other rows"), ...history(row, protocol),
      others.length ? table(["Row", { text: "Completer", tip: spared.words.explain("completer") }, { text: "Trust", tip: spared.words.explain("trust") }, `Mean ${measure(metric)}`, "Against this row"], others.map((each) => [link(["method", each.id], rowName(each)), each.completer, each.trust, overall(choice.of(each).overall), against(choice, row, each)]), "Other versions, completers and sources of this predictor")
        : el("p", {}, "No other version, completer or source of this predictor is on the board."),
    );
    await drawCalibration(more, view);
  };

  function ranked(choice, row) {
    const { rank } = choice.of(row), tied = rank > 1 && choice.tied(row);
    return known(rank) ? `${rank} of ${choice.order.length}${tied ? ", tied with 1" : ""}` : row.control ? "control" : "not ranked";
  }
  function reached(choice, row) {
    const { metric, counted } = choice, { overall, covered } = choice.of(row), show = metric.normalised ? score : write(metric);
    const [low, high] = choice.interval(row);
    return known(overall) ? `${show(overall)}${known(low) ? ` (95 %: ${show(low)} to ${show(high)})` : ""}, over ${covered} of ${plural(counted.length, "dataset")}` : null;
  }
  function overAll(board, metric, row) {
    const every = spared.choice.select(board, new URLSearchParams({ metric: metric.name })), mean = reached(every, row);
    return mean ? `rank ${ranked(every, row)}; mean ${measure(metric)} ${mean}` : ranked(every, row);
  }
  // The places of the datasets, those that the filters leave before the others.
  const askedFirst = (board, choice) => [...choice.columns, ...board.datasets.map((_, i) => i).filter((i) => !choice.columns.includes(i))];

  function encoder(plugin, more) {
    if (!plugin?.encoder) return null;
    const used = [...new Set(more.trials.map((trial) => trial.parameters[plugin.encoder]).filter((name) => typeof name === "string"))];
    return used.join(", ") || null;
  }
  function history(row, protocol) {
    const found = spared.protocols.changes({ name: `${spared.methodName(row)} · ${row.completer} · ${row.trust}`, protocol });
    return found.length ? [table(["When", "Protocol", "What"], found, "Changes of this row from build to build")] : [];
  }
  function against(choice, row, other) {
    const [a, b] = [choice.of(row).overall, choice.of(other).overall];
    if (!known(a) || !known(b)) return none;
    const better = choice.err(other) < choice.err(row);
    return a === b ? "the same" : `${score(Math.abs(b - a))} ${better ? "better" : "worse"}`;
  }

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
})();
