// Parts of a server-rendered page that are fetched anew when what they tell has changed.
let waiting = null;

export function refreshParts() {
  clearTimeout(waiting);
  waiting = setTimeout(async () => {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    if (!answer?.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-refresh]")) {
      const other = fresh.querySelector(`[data-refresh="${part.dataset.refresh}"]`);
      if (!other || other.innerHTML === part.innerHTML) continue;
      const kept = [...part.querySelectorAll("[data-keep]")];
      part.replaceChildren(...other.childNodes);
      for (const node of kept) part.querySelector(`[data-keep="${node.dataset.keep}"]`)?.replaceWith(node);
    }
  }, 600);
}
