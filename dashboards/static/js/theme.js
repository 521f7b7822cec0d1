// Runs before the page is painted: the theme that this screen chose, one choice for walls and one for desks.
(() => {
  const root = document.documentElement;
  const key = `theme.${root.dataset.kind || "desk"}`;
  const read = () => { try { return localStorage.getItem(key); } catch { return null; } };
  const asked = new URLSearchParams(location.search).get("theme");
  const chosen = asked || read();
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("[data-theme-switch]")) {
      button.hidden = false;
      button.addEventListener("click", () => {
        root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
        try { localStorage.setItem(key, root.dataset.theme); } catch { /* private mode: for this page only */ }
        dispatchEvent(new Event("themechange"));
      });
    }
  });
})();
