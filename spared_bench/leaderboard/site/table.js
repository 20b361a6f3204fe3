"use strict";
// The ranking: which rows and datasets the filters leave, what follows from them, and the table.

spared.ranking = (() => {
  const { el, esc, score, correlation, count, duration, none } = spared;
  const ROW_FILTERS = ["completer", "scope", "trust", "weights"];
  const COLUMN_FILTERS = ["organism", "tissue", "tier"];
  const DERIVED = ["rank", "nmse", "interval", "pcc"]; // columns that follow from the filters
  const NOTHING = new URLSearchParams();
  const FEWEST = 5; // datasets, below which there are too few to draw from
  const mean = (values) => values.length ? values.reduce((a, b) => a + b, 0) / values.length : null;
  const known = (v) => v !== null && v !== undefined;

  function chosenColumns(board, params) {
    const named = params.getAll("dataset").filter((name) => board.columns.some((c) => c.name === name));
    return board.columns.map((c, i) => i).filter((i) => {
      const column = board.columns[i];
      return (!named.length || named.includes(column.name))
        && COLUMN_FILTERS.every((f) => !params.get(f) || column[f] === params.get(f));
    });
  }

  // 95 % bootstrap intervals of means over datasets: the same draws for all rows, and every time.
  function intervals(columns, resamples = 400) {
    let seed = 20240711;
    const random = () => { seed ^= seed << 13; seed ^= seed >>> 17; seed ^= seed << 5; return (seed >>> 0) / 4294967296; };
    const n = columns.length;
    const draws = Array.from({ length: resamples * n }, () => columns[Math.floor(random() * n)]);
    return (row) => {
      if (columns.filter((i) => known(row.nmse[i])).length < FEWEST) return [null, null];
      const means = new Float64Array(resamples);
      for (let r = 0; r < resamples; r++) {
        let sum = 0, seen = 0;
        for (let k = r * n; k < r * n + n; k++) { const v = row.nmse[draws[k]]; if (v !== null) { sum += v; seen++; } }
        means[r] = seen ? sum / seen : NaN;
      }
      const sorted = means.filter((v) => !Number.isNaN(v)).sort();
      return [sorted[Math.floor(sorted.length * 0.025)], sorted[Math.ceil(sorted.length * 0.975) - 1]];
    };
  }

  // What the filters leave: datasets, rows, and for every row its mean, rank and interval.
  function select(board, params) {
    const columns = chosenColumns(board, params);
    const counted = columns.filter((i) => board.columns[i].counts);
    const all = board.columns.filter((c) => c.counts).length === counted.length;
    const passing = board.rows.filter((row) => ROW_FILTERS.every((f) => !params.get(f) || row[f] === params.get(f)));
    const whole = all && passing.length === board.rows.length;
    const found = new Map();
    const bounds = all ? null : intervals(counted);
    board.rows.forEach((row) => {
      const values = counted.map((i) => row.nmse[i]).filter(known);
      const correlations = counted.map((i) => row.pcc[i]).filter(known);
      const complete = counted.length > 0 && counted.every((i) => known(row.mse[i]) && !row.failed[i]);
      found.set(row, { nmse: mean(values), covered: values.length, pcc: mean(correlations), complete,
        ranked: complete && values.length > 0 && !row.control && row.withdrawn === null,
        interval: bounds ? null : row.interval, rank: whole ? row.rank : null });
    });
    if (!whole) {
      const scores = passing.filter((row) => found.get(row).ranked).map((row) => found.get(row).nmse).sort((a, b) => a - b);
      for (const row of passing) if (found.get(row).ranked) found.get(row).rank = scores.indexOf(found.get(row).nmse) + 1;
    }
    const words = (params.get("q") || "").toLowerCase().split(/\s+/).filter(Boolean);
    const rows = passing.filter((row) => (!row.control || params.get("controls") !== "0")
      && words.every((word) => text(row).includes(word)));
    // Drawing again is slow for a thousand rows, so only those that are looked at are drawn again.
    const interval = (row) => (found.get(row).interval ??= bounds(row));
    return { columns, counted, rows: new Set(rows), of: (row) => found.get(row), interval };
  }

  function text(row) {
    row.words ??= [row.predictor, row.method, row.version, row.completer, row.scope, row.weights, row.trust].join(" ").toLowerCase();
    return row.words;
  }

  const flags = (row, dataset) => row.flags.filter(([, , about]) => about === dataset);
  const flag = (row, dataset) => {
    if (!row.flags.length) return "";
    const found = flags(row, dataset);
    return found.length ? ` <span class="flag" title="${esc(found.map(([kind, why]) => `${kind}: ${why}`).join(" "))}">⚑<span class="unseen"> flagged: ${esc(found[0][1])}</span></span>` : "";
  };
  // Addresses carry the filters, and get new ones when their row is drawn again (`refresh`).
  const link = (view, label) => `<a href="${esc(spared.address(view, NOTHING) + current.query)}">${esc(label)}</a>`;

  let current = { board: null, choice: null, params: null, link: new URLSearchParams(), api: null, keys: [] };

  // All columns; `value` sorts and is exported, `html` is shown and escapes what it shows.
  function definitions(board) {
    const of = (row) => current.choice.of(row);
    const fixed = [
      { key: "rank", title: "Rank", value: (r) => of(r).rank, html: (r) => of(r).rank ?? (r.withdrawn !== null ? "withdrawn" : r.control ? none : of(r).complete ? none : `<span title="Not ranked: not every seed and dataset has a result">${none}</span>`), number: true },
      { key: "method", title: "Method", value: spared.rowName, html: name },
      { key: "completer", title: "Completer", value: (r) => r.completer },
      { key: "trust", title: "Trust", value: (r) => r.trust },
      { key: "nmse", title: "Norm. MSE", value: (r) => of(r).nmse, html: (r) => bar(score(of(r).nmse), of(r).nmse > 0 ? 100 / of(r).nmse : 0, coverage(of(r))), number: true },
      { key: "interval", title: "95 % interval", value: (r) => current.choice.interval(r)[0], html: (r) => { const [low, high] = current.choice.interval(r); return known(low) ? `${score(low)} to ${score(high)}` : none; }, number: true },
      { key: "pcc", title: "PCC-Gene", value: (r) => of(r).pcc, html: (r) => bar(correlation(of(r).pcc), 100 * Math.max(0, of(r).pcc ?? 0), ""), number: true, descending: true },
      { key: "scope", title: "Scope", value: (r) => r.scope, hidden: true },
      { key: "weights", title: "Weights", value: (r) => r.weights, html: (r) => esc(spared.claimed(r, r.weights)), hidden: true },
      { key: "parameters", title: "Parameters", value: (r) => r.parameters, html: (r) => spared.claimed(r, count(r.parameters)), number: true },
      { key: "seconds", title: "Training", value: (r) => r.seconds, html: (r) => spared.claimed(r, duration(r.seconds)), number: true },
    ];
    const datasets = board.columns.map((column, i) => ({
      key: `d:${column.name}`, dataset: i, title: column.name, about: badges(column), number: true,
      value: (r) => r[metric()][i], html: (r) => cell(r, i),
    }));
    return [...fixed, ...datasets];
  }

  const metric = () => ["mse", "nmse"].includes(current.params.get("metric")) ? current.params.get("metric") : "pcc";
  const coverage = (found) => found.covered === current.choice.counted.length || found.nmse === null ? "" : `${found.covered}/${current.choice.counted.length}`;
  const bar = (shown, percent, aside) => `<span class="v">${shown}</span><span class="bar" aria-hidden="true"><span data-w="${Math.min(100, percent).toFixed(0)}"></span></span>${aside ? `<small>${aside}</small>` : ""}`;
  const badges = (c) => [c.tier && `tier ${c.tier}`, c.split && c.split !== "test" && c.split, !c.listed && "not of the protocol", c.synthetic && "generated", c.repeats.length && "repeats", c.shared_donors.length && "shared donors"].filter(Boolean);

  function name(row) {
    const badge = row.control ? ' <span class="badge">control</span>' : row.withdrawn !== null ? ' <span class="badge">withdrawn</span>' : row.trust === "imported" ? ' <span class="badge">imported</span>' : "";
    const small = [row.method && row.predictor, row.scope, spared.claimed(row, row.weights)].filter(Boolean).map(esc).join(" · ");
    return `<bdi>${link(["method", row.id], spared.rowName(row))}</bdi>${badge}${flag(row, "")}${small ? `<small>${small}</small>` : ""}`;
  }

  function cell(row, i) {
    const value = row[metric()][i];
    if (!known(value)) return none;
    const column = current.board.columns[i];
    const shown = metric() === "pcc" ? correlation(value) : score(value);
    const spread = { mse: row.mse_sd[i], pcc: row.pcc_sd[i] }[metric()];
    const best = !row.control && column.best?.[metric()] === value;
    const seeds = row.failed[i] ? ` <small>${row.seeds[i]}/${row.seeds[i] + row.failed[i]} seeds</small>` : "";
    return `<a class="${best ? "best" : ""}" href="#map/${row.id}/${column.path}${current.escaped}">${shown}</a>${known(spread) ? ` <small>±${score(spread)}</small>` : ""}${seeds}${flag(row, column.name)}`;
  }

  function markBest(board) {
    board.columns.forEach((column, i) => {
      column.path = esc(encodeURIComponent(column.name));
      const competing = board.rows.filter((row) => !row.control && row.withdrawn === null);
      const of = (key) => competing.map((row) => row[key][i]).filter(known);
      column.best = { mse: Math.min(...of("mse")), nmse: Math.min(...of("nmse")), pcc: Math.max(...of("pcc")) };
    });
  }

  // Undefined values are last in both directions.
  const last = (sign) => (a, b) => a === "" || b === "" ? (a === "") - (b === "") : sign * (a - b);
  DataTable.type("last", { order: { asc: last(1), desc: last(-1) } });

  function make(board) {
    if (current.api) { current.api.destroy(); document.getElementById("board").replaceChildren(); }
    markBest(board);
    current.board = board;
    current.columns = definitions(board);
    current.keys = current.columns.map((c) => c.key);
    current.api = new DataTable("#board", {
      data: board.rows,
      columns: current.columns.map((c) => ({
        title: `${esc(c.title)}${c.about?.length ? ` <span class="badges">${c.about.map((b) => `<span class="badge">${esc(b)}</span>`).join(" ")}</span>` : ""}`, name: c.key,
        className: c.number ? "n" : c.key === "method" ? "name" : "", type: c.number ? "last" : "string", searchable: false,
        orderSequence: c.descending || (c.dataset !== undefined && metric() === "pcc") ? ["desc", "asc"] : ["asc", "desc"],
        data: (row, kind) => kind === "display" ? (c.html ? c.html(row) : esc(c.value(row) || none)) : c.value(row) ?? "",
        orderDataType: DERIVED.includes(c.key) ? "derived" : undefined,
      })),
      deferRender: true, autoWidth: false, orderClasses: false, order: [], pageLength: 25, lengthMenu: [10, 25, 50, 100, { label: "All", value: -1 }],
      layout: { topStart: null, topEnd: null, bottomStart: ["info", "pageLength"], bottomEnd: "paging" },
      language: { info: "_START_ to _END_ of _TOTAL_", infoFiltered: "", infoEmpty: "none", zeroRecords: "No row matches these filters.", lengthMenu: "_MENU_ rows a page" },
      createdRow: (tr, row) => { if (row.control) tr.classList.add("control"); },
      rowCallback: refresh,
    });
    current.api.search.fixed("page", (all, row) => current.choice.rows.has(row));
    current.api.on("order", () => document.dispatchEvent(new CustomEvent("spared-order")));
  }

  // Columns are hidden by style: to take thousands of cells out of the table and back is slow.
  const style = document.head.appendChild(document.createElement("style"));
  function hide(shown) {
    const hidden = shown.map((on, i) => on ? "" : `#board tr > :nth-child(${i + 1})`).filter(Boolean);
    const text = hidden.length ? `${hidden.join(",")} { display: none; }` : "";
    if (style.textContent !== text) style.textContent = text;
  }

  // What follows from the filters is written into a row when it is drawn, and read when sorted: the
  // table keeps the other cells of all rows, and to render them all again is slow.
  DataTable.ext.order.derived = (settings, index) => {
    const column = current.columns[index];
    return current.board.rows.map((row) => column.value(row) ?? "");
  };

  function refresh(tr, row) {
    const stamp = `${current.shape} ${current.query}`;
    if (tr.stamp === stamp) return;
    tr.stamp = stamp;
    for (const key of DERIVED) tr.children[current.keys.indexOf(key)].innerHTML = current.columns[current.keys.indexOf(key)].html(row);
    if (tr.query !== undefined && tr.query !== current.query) {
      for (const each of tr.querySelectorAll("a")) each.setAttribute("href", each.getAttribute("href").split("?")[0] + current.query);
    }
    tr.query = current.query;
    for (const each of tr.querySelectorAll(".bar > span")) each.style.width = `${each.dataset.w}%`;
  }

  function visible(params, c) {
    const chosen = params.get("columns");
    if (c.dataset !== undefined) return current.choice.columns.includes(c.dataset) && chosen !== "none" && !(chosen || "").split(" ").includes("-datasets");
    const changed = (chosen || "").split(" ");
    if (c.key === "method") return true;
    if (c.key === "trust" && !chosen) return current.board.rows.some((row) => row.trust !== "reproduced");
    return c.hidden ? changed.includes(`+${c.key}`) : !changed.includes(`-${c.key}`);
  }

  function show(board, params) {
    const remade = current.board !== board;
    current.params = params;
    current.link = new URLSearchParams([...params].filter(([key]) => key !== "gene" && key !== "slide"));
    current.query = current.link.size ? `?${current.link}` : "";
    current.escaped = esc(current.query);
    current.choice = select(board, params);
    current.shape = [...current.choice.columns, ...ROW_FILTERS.map((f) => params.get(f))].join(" ");
    if (remade || current.metric !== metric()) make(board);
    current.metric = metric();
    current.visible = current.columns.map((c) => visible(params, c));
    hide(current.visible);
    const [key, direction] = (params.get("sort") || "").split(/\.(?=(?:asc|desc)$)/);
    const index = current.keys.indexOf(key);
    current.api.order(index < 0 ? [] : [[index, direction === "desc" ? "desc" : "asc"]]).draw();
    return current.choice;
  }

  const sorting = () => { const [first] = current.api.order(); return first && first[1] ? `${current.keys[first[0]]}.${first[1]}` : ""; };
  const shownRows = () => current.api.rows({ search: "applied", order: "applied" }).data().toArray();
  const shownColumns = () => current.columns.filter((c, i) => current.visible[i]);
  const interval = (row) => current.choice.interval(row);
  return { select, show, sorting, shownRows, shownColumns, interval, metric, columns: () => current.columns, known };
})();
