// The residents' board renews itself on a screen in the hall; without script it is as complete, of the time it says.
const EVERY_MS = 300000;
setInterval(() => { if (!document.hidden) location.reload(); }, EVERY_MS);
