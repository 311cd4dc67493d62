"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const by = (id) => document.getElementById(id);
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];

  // Light, dark, or as the system has it.
  const themes = ["", "light", "dark"];
  const said = { "": "as the system has them", light: "light", dark: "dark" };
  const button = by("theme");
  const wear = (theme) => {
    try { localStorage.setItem("fairseq-neuron-theme", theme); } catch { /* not for this page */ }
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    button.setAttribute("aria-label", `Colours: ${said[theme]}`);
    button.title = `Colours: ${said[theme]}`;
    button.textContent = theme === "dark" ? "●" : theme === "light" ? "○" : "◐";
  };
  button.addEventListener("click", () => {
    wear(themes[(themes.indexOf(root.dataset.theme || "") + 1) % themes.length]);
  });
  let worn = "";
  try { worn = localStorage.getItem("fairseq-neuron-theme"); } catch { /* not for this page */ }
  wear(themes.includes(worn) ? worn : "");

  // Tables sort by any column; what was not measured comes last, either way.
  const sortBy = (table, column, header) => {
    const down = header.getAttribute("aria-sort") !== "descending" && header.classList.contains("num")
      || header.getAttribute("aria-sort") === "ascending";
    const sign = down ? -1 : 1;
    const body = table.tBodies[0];
    const key = (row) => {
      const cell = row.cells[column];
      if (!("v" in cell.dataset)) return cell.textContent;
      return cell.dataset.v === "" ? null : Number(cell.dataset.v);
    };
    const compare = (one, two) => {
      const [a, b] = [key(one), key(two)];
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
    };
    [...body.rows].sort(compare).forEach((row) => body.append(row));
    all("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
  };
  all("table:not(.words)").forEach((table) => {
    [...table.tHead.rows[0].cells].forEach((header, column) => {
      const inner = document.createElement("button");
      inner.type = "button";
      inner.append(...header.childNodes);
      header.append(inner);
      inner.addEventListener("click", () => sortBy(table, column, header));
    });
  });

  // One tab stop a picture or sentence; arrow keys go from mark to mark, whose value is read out.
  const textOf = (mark) => {
    if ("v" in mark.dataset) return `${mark.textContent}: ${mark.dataset.v}`;
    const title = mark.querySelector("title");
    return title ? title.textContent : "";
  };
  const readoutOf = (box) => {
    const scope = box.closest("figure") || box.closest("article");
    return scope && scope.querySelector(":scope > .readout");
  };
  const show = (box, mark) => {
    all(".on", box).forEach((other) => other.classList.remove("on"));
    const readout = readoutOf(box);
    if (mark) mark.classList.add("on");
    if (readout) readout.textContent = mark ? textOf(mark) : "";
  };
  all("[data-marks]").forEach((box) => {
    const marks = () => all(box.dataset.marks, box);
    box.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };
      if (!(event.key in steps)) return;
      const found = marks();
      if (!found.length) return;
      event.preventDefault();
      const now = found.findIndex((mark) => mark.classList.contains("on"));
      const next = now < 0 && steps[event.key] > 0 && isFinite(steps[event.key]) ? 0 : now + steps[event.key];
      show(box, found[Math.max(0, Math.min(found.length - 1, next))]);
    });
    box.addEventListener("pointerover", (event) => {
      const mark = event.target.closest(box.dataset.marks);
      if (mark) show(box, mark);
    });
    box.addEventListener("pointerleave", () => show(box, null));
    box.addEventListener("blur", () => show(box, null));
  });

  // Cards: found, filtered and sorted; the choice stands in the address, to be sent around.
  const controls = ["label", "search", "ranking", "store", "sort"].filter((id) => by(id));
  const cards = all(".card");
  const holds = (list, value) => !value || JSON.parse(list).includes(value);
  const filter = () => {
    const chosen = Object.fromEntries(controls.map((id) => [id, by(id).value.trim()]));
    const wanted = (chosen.search || "").toLowerCase();
    let shown = 0;
    cards.forEach((card) => {
      const data = card.dataset;
      const found = !wanted
        || (/^\d+$/.test(wanted) ? data.id === wanted || data.name.endsWith(`:${wanted}`)
          : data.name.toLowerCase().includes(wanted));
      card.hidden = !(found && holds(data.labels, chosen.label) && holds(data.rankings, chosen.ranking)
        && (!chosen.store || data.store === chosen.store));
      shown += !card.hidden;
    });
    const keys = { "": (d) => Number(d.order), id: (d) => Number(d.id),
      explained: (d) => -Number(d.explained), deviation: (d) => -Number(d.deviation) };
    const key = keys[chosen.sort || ""] || keys[""];
    const place = (one, two) => key(one.dataset) - key(two.dataset) || one.dataset.order - two.dataset.order;
    [...cards].sort(place).forEach((card) => card.parentNode.append(card));
    if (by("count")) by("count").textContent = `${shown} of ${cards.length} neurons`;
    all("table[data-labels] tbody tr").forEach((row) => {
      row.hidden = Boolean(chosen.label) && row.dataset.label !== chosen.label;
    });
    return chosen;
  };
  const remember = () => {
    const kept = Object.entries(filter()).filter(([, value]) => value);
    const text = new URLSearchParams(kept).toString();
    try { history.replaceState(null, "", text ? `#${text}` : location.pathname); } catch { /* a stricter browser */ }
  };
  const recall = () => {
    if (!location.hash.includes("=")) return;
    const kept = new URLSearchParams(location.hash.slice(1));
    controls.forEach((id) => { by(id).value = kept.get(id) || ""; });
    remember();  // without what this page does not have
    if (by("neurons")) by("neurons").scrollIntoView({ behavior: "instant" });
  };
  controls.forEach((id) => by(id).addEventListener("input", remember));
  const form = document.querySelector(".toolbar");
  if (form) form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", () => { recall(); filter(); });
  recall();
  filter();
  // A link to a section must not push the choice out of the address.
  all("nav a, .skip").forEach((link) => link.addEventListener("click", (event) => {
    if (!location.hash.includes("=")) return;
    event.preventDefault();
    const target = document.querySelector(link.getAttribute("href"));
    target.scrollIntoView();
    target.tabIndex = -1;  // the next Tab goes on from here, as after any other link
    target.focus({ preventScroll: true });
  }));

  // What all fits needs no scrolling, and no stop of the Tab key.
  const stops = () => all(".scroll").forEach((box) => {
    box.tabIndex = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight ? 0 : -1;
  });
  document.addEventListener("toggle", stops, true);
  window.addEventListener("resize", stops);
  stops();

  // On paper nothing can be unfolded.
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    folded.forEach((details) => { details.open = true; });
  });
  window.addEventListener("afterprint", () => folded.forEach((details) => { details.open = false; }));
})();
