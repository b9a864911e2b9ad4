"use strict";
// Live lists: an element with data-live follows that address; each event makes htmx fetch its hx-get again.
document.querySelectorAll("[data-live]").forEach(function (element) {
  var source = new EventSource(element.dataset.live);
  source.addEventListener("change", function () { htmx.trigger(element, "live"); });
  source.addEventListener("over", function () { source.close(); location.reload(); });
  window.addEventListener("pagehide", function () { source.close(); });
});
// The newest message is in view, unless somebody scrolled up to read.
var scroll = document.querySelector(".scroll");
function down() { if (scroll) { scroll.scrollTop = scroll.scrollHeight; } }
if (scroll) {
  var low = true;
  down();
  scroll.addEventListener("scroll", function () {
    low = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
  });
  document.body.addEventListener("htmx:afterSettle", function () { if (low) { down(); } });
}
// The focus stays where it was when a list is drawn anew.
var focused = null;
document.body.addEventListener("htmx:beforeSwap", function () {
  focused = document.activeElement && document.activeElement.id;
});
document.body.addEventListener("htmx:afterSwap", function () {
  var again = focused && document.getElementById(focused);
  if (again && again !== document.activeElement) { again.focus(); }
});
document.addEventListener("keydown", function (event) {
  var target = event.target;
  // Arrows go through a list, Home and End to its ends.
  if (target.classList.contains("item")) {
    var items = Array.prototype.slice.call(document.querySelectorAll("a.item"));
    var at = items.indexOf(target);
    var to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (to !== undefined && items[to]) { event.preventDefault(); items[to].focus(); }
  }
  // Ctrl and Enter send what is being written.
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && target.tagName === "TEXTAREA" && target.form) {
    event.preventDefault();
    target.form.requestSubmit();
  }
});
// A canned reply is put where the answer is written.
document.querySelectorAll("select[data-into]").forEach(function (select) {
  select.addEventListener("change", function () {
    var text = document.getElementById(select.dataset.into);
    if (select.value) { text.value = select.value; text.focus(); }
  });
});
// Nothing is sent twice.
document.addEventListener("submit", function (event) {
  if (event.target.dataset.sent) { event.preventDefault(); return; }
  event.target.dataset.sent = "1";
  setTimeout(function () { delete event.target.dataset.sent; }, 3000);
});
