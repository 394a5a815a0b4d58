"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const config = { responsive: true, displaylogo: false, displayModeBar: "hover", modeBarButtons: [["toImage", "resetScale2d"]] };
  const isAxis = /^[xy]axis\d*$/;

  // Plots are drawn when they are first seen: a hidden element has no width.
  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    return (name) => style.getPropertyValue(name).trim();
  };
  const themed = (layout) => {
    const colour = colours();
    const changes = { "font.color": colour("--ink"), "font.family": "system-ui, sans-serif", "font.size": 12 };
    changes["modebar.bgcolor"] = "rgba(0,0,0,0)";
    changes["modebar.color"] = colour("--quiet");
    changes["modebar.activecolor"] = colour("--ink");
    changes["hoverlabel.bgcolor"] = colour("--paper");
    changes["hoverlabel.bordercolor"] = colour("--quiet");
    changes["hoverlabel.font.color"] = colour("--ink");
    changes["hoverlabel.align"] = "left";
    for (const axis of Object.keys(layout).filter((key) => isAxis.test(key))) {
      changes[`${axis}.gridcolor`] = colour("--grid");
      changes[`${axis}.linecolor`] = colour("--line");
      changes[`${axis}.tickcolor`] = colour("--line");
    }
    return changes;
  };
  const set = (target, path, value) => {
    const keys = path.split(".");
    const last = keys.pop();
    keys.reduce((at, key) => (at[key] ??= {}), target)[last] = value;
  };
  const draw = (root) => {
    for (const element of root.querySelectorAll(".plot")) {
      if (element.classList.contains("js-plotly-plot")) continue;
      const { data, layout } = figures[element.id];
      for (const [path, value] of Object.entries(themed(layout))) set(layout, path, value);
      Plotly.newPlot(element, data, layout, config);
    }
  };
  const recolour = () => {
    for (const element of document.querySelectorAll(".js-plotly-plot")) Plotly.relayout(element, themed(element.layout));
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  addEventListener("beforeprint", () => { draw(document); recolour(); });
  addEventListener("afterprint", recolour);

  // Tabs: click, arrow keys, Home and End; #name in the address opens one.
  const tabs = [...document.querySelectorAll('[role="tab"]')];
  const show = (chosen, focus) => {
    for (const tab of tabs) {
      const selected = tab === chosen;
      tab.setAttribute("aria-selected", String(selected));
      tab.tabIndex = selected ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = !selected;
    }
    draw(document.getElementById(chosen.getAttribute("aria-controls")));
    if (focus) chosen.focus();
  };
  const fromAddress = () => {
    const name = decodeURIComponent(location.hash.slice(1));
    return tabs.find((tab) => tab.dataset.tab === name);
  };
  tabs.forEach((tab, index) => {
    tab.addEventListener("click", () => {
      show(tab, false);
      history.replaceState(null, "", "#" + encodeURIComponent(tab.dataset.tab));
    });
    tab.addEventListener("keydown", (event) => {
      const next = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: tabs.length - 1 }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      show(tabs[(next + tabs.length) % tabs.length], true);
    });
  });
  addEventListener("hashchange", () => show(fromAddress() ?? tabs[0], false));
  show(fromAddress() ?? tabs[0], false);

  // Slices of three-dimensional grids: all maps of a panel move together.
  for (const slider of document.querySelectorAll(".slider input")) {
    const levels = JSON.parse(slider.dataset.levels);
    slider.addEventListener("input", () => {
      const level = Number(slider.value);
      slider.parentElement.querySelector("output").textContent = levels[level];
      for (const plot of slider.closest(".panel").querySelectorAll(".plot")) {
        Plotly.restyle(plot, { visible: plot.data.map((trace) => trace.meta === level) });
      }
    });
  }

  // Tables sort by a click on a heading; what is not known goes last.
  const compare = (a, b) => {
    const [x, y] = [Number(a), Number(b)];
    const known = [a, b].map((value) => value !== "" && value !== "nan");
    if (known[0] !== known[1]) return known[0] ? -1 : 1;
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, undefined, { numeric: true }) : x - y;
  };
  for (const heading of document.querySelectorAll("th")) {
    heading.querySelector("button").addEventListener("click", () => {
      const column = heading.cellIndex;
      const descending = heading.getAttribute("aria-sort") === "ascending";
      for (const other of heading.parentElement.children) other.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const body = heading.closest("table").tBodies[0];
      const keyed = [...body.rows].map((row) => [row.cells[column].dataset.value, row]);
      const unknown = (value) => value === "" || value === "nan";
      keyed.sort(([a], [b]) => (descending && !unknown(a) && !unknown(b) ? compare(b, a) : compare(a, b)));
      body.append(...keyed.map(([, row]) => row));
    });
  }

  const filter = document.getElementById("filter");
  filter.addEventListener("input", () => {
    const wanted = filter.value.toLowerCase();
    for (const row of document.querySelectorAll("#conditions tbody tr")) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
    }
  });

  document.getElementById("download").addEventListener("click", () => {
    const rows = document.getElementById("csv");
    const text = JSON.parse(rows.textContent);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = rows.dataset.name;
    link.click();
    URL.revokeObjectURL(link.href);
  });
})();
