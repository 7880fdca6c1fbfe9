
"use strict";
const search = document.getElementById("search");
const kinds = Array.from(document.querySelectorAll("input[data-kind]"));
const files = Array.from(document.querySelectorAll("article"), (node) => ({ node, kind: node.dataset.kind, text: node.textContent.toLowerCase() }));
const rows = Array.from(document.querySelectorAll(".images tbody tr"), (node) => ({ node, text: node.textContent.toLowerCase() }));
function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = new Set(kinds.filter((box) => box.checked).map((box) => box.dataset.kind));
  const meets = (text) => words.every((word) => text.includes(word));
  let shown = 0;
  for (const file of files) {
    file.node.hidden = !(wanted.has(file.kind) && meets(file.text));
    shown += file.node.hidden ? 0 : 1;
  }
  for (const row of rows) row.node.hidden = !meets(row.text);
  document.getElementById("shown").textContent = shown + " of " + files.length + " files";
}
search.addEventListener("input", filter);
// A link to the page may say what to look for.
function linked() {
  try { search.value = decodeURIComponent(location.hash.slice(1)); } catch { search.value = ""; }
  filter();
}
addEventListener("hashchange", linked);
for (const box of kinds) box.addEventListener("change", filter);
linked();
