"use strict";
// Live lists: an element with data-live follows that address; each event makes htmx fetch its hx-get again.
document.querySelectorAll("[data-live]").forEach(function (element) {
  var source = new EventSource(element.dataset.live);
  // What happened before it was listening, at first or after the line was cut, is fetched too.
  source.addEventListener("open", function () { htmx.trigger(element, "live"); });
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
  // A picture makes the last message stand lower once it is there.
  scroll.addEventListener("load", function () { if (low) { down(); } }, true);
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
  // In the calendar arrows go up and down a day, and to the day beside it.
  var day = target.closest(".day");
  if (day && event.key.indexOf("Arrow") === 0) {
    var stops = function (one) { return Array.prototype.slice.call(one.querySelectorAll("a, button")); };
    var here = stops(day).indexOf(target), next = stops(day)[here + (event.key === "ArrowDown" ? 1 : -1)];
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      var back = (event.key === "ArrowLeft") === (document.documentElement.dir === "ltr"), other = day;
      do { other = back ? other.previousElementSibling : other.nextElementSibling; }
      while (other && !stops(other).length);
      next = other && (stops(other)[here] || stops(other).pop());
    }
    if (next) { event.preventDefault(); next.focus(); }
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
    var meaning = document.getElementById(select.dataset.meaning), says = select.selectedOptions[0].dataset.meaning;
    // What it says, for who writes in a language that they do not read.
    meaning.textContent = says && says !== select.value ? meaning.dataset.label + " " + says : "";
  });
});
// Nothing is sent twice.
document.addEventListener("submit", function (event) {
  if (event.target.dataset.sent) { event.preventDefault(); return; }
  event.target.dataset.sent = "1";
  setTimeout(function () { delete event.target.dataset.sent; }, 3000);
});
