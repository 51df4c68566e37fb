// What surrounds the picture, whatever is in it: tabs, theme, keys, and what the browser keeps.
import { el } from "./parts.js";

export const $ = (id) => document.getElementById(id);

/** What a browser may refuse to keep is not needed. */
export const keep = {
  get: (name) => { try { return localStorage.getItem(`cutaway.${name}`); } catch { return null; } },
  set: (name, value) => { try { localStorage.setItem(`cutaway.${name}`, value); } catch { /* not kept */ } },
};

/** Chooses a tab, and hides the pages of all others. */
export function chooseTab(name) {
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const is = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(is));
    tab.tabIndex = is ? 0 : -1;
    $(tab.getAttribute("aria-controls")).hidden = !is;
  }
}

/** Tabs, by mouse and by arrow keys. `show(name)` chooses one. */
export function wireTabs(show) {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  tabs.forEach((tab, at) => {
    tab.addEventListener("click", () => show(tab.id.slice(4)));
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1 }[event.key];
      if (to === undefined) return;
      const next = tabs[(to + tabs.length) % tabs.length];
      show(next.id.slice(4));
      next.focus();
    });
  });
}

/** Keys, each `[label, words, act, names]`; those with a label are listed under `?`. */
export function wireKeys(keys) {
  for (const [label, words] of keys.filter(([label]) => label)) $("help-keys").append(el("tr", {}, el("th", { scope: "row" }, el("kbd", {}, label)), el("td", {}, words)));
  $("keys-button").addEventListener("click", () => $("help").showModal());
  document.addEventListener("keydown", (event) => {
    if (!(event.target instanceof Element) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input:not([type=range]), textarea, select, dialog, .menu")) return;
    const key = keys.find(([, , , names]) => names.includes(event.key));
    if (!key || (event.key === " " && event.target.closest("button, [role=button]"))) return;
    if (event.target.closest("[role=tablist]") && event.key.startsWith("Arrow")) return;
    event.preventDefault();
    key[2]();
  });
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme; else delete document.documentElement.dataset.theme;
}

/** The switch between light and dark; until it is used, the system decides. */
export function wireTheme() {
  setTheme(keep.get("theme"));
  $("theme").addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    setTheme(dark ? "light" : "dark");
    keep.set("theme", dark ? "light" : "dark");
  });
}

/** A dialog that goes away when it is closed. */
export function showDialog(label, ...content) {
  const dialog = el("dialog", { "aria-label": label }, el("h2", {}, label), content.flat(), el("form", { method: "dialog" }, el("button", {}, "Close")));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
