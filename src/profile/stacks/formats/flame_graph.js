"use strict";
(function () {
  var svg = document.documentElement;
  var note = document.getElementById("note");
  var said = note.textContent;
  var letter = 7.25;
  var boxes = Array.prototype.map.call(svg.querySelectorAll("g.box"), function (group) {
    var rect = group.querySelector("rect");
    var title = group.querySelector("title").textContent;
    var number = function (name) { return parseFloat(rect.getAttribute(name)); };
    return {
      group: group, rect: rect, text: group.querySelector("text"), title: title,
      name: title.replace(/( \([^()]*\))?: [0-9.]+ s, [0-9.]+ %$/, ""),
      x: number("x"), y: number("y"), width: number("width")
    };
  });
  var root = boxes[0];
  function label(box, x, width) {
    var letters = Math.floor((width - 6) / letter);
    box.text.setAttribute("x", x + 3);
    box.text.textContent = box.name.length <= letters ? box.name
      : letters < 4 ? "" : box.name.slice(0, letters - 1) + "\u2026";
  }
  function zoom(to) {
    var scale = root.width / to.width;
    boxes.forEach(function (box) {
      var slack = 0.01;
      var isCaller = box.y > to.y && box.x <= to.x + slack && box.x + box.width >= to.x + to.width - slack;
      var isInside = box.y <= to.y && box.x >= to.x - slack && box.x + box.width <= to.x + to.width + slack;
      var x = isCaller ? root.x : root.x + (box.x - to.x) * scale;
      var width = isCaller ? root.width : box.width * scale;
      box.group.classList.toggle("off", !isCaller && !isInside);
      box.group.classList.toggle("faded", isCaller && box !== to);
      box.rect.setAttribute("x", x);
      box.rect.setAttribute("width", width);
      label(box, x, width);
    });
  }
  function search(words) {
    var spans = [];
    boxes.forEach(function (box) {
      var isFound = words !== "" && box.name.toLowerCase().indexOf(words.toLowerCase()) >= 0;
      box.group.classList.toggle("found", isFound);
      if (isFound) { spans.push([box.x, box.x + box.width]); }
    });
    spans.sort(function (a, b) { return a[0] - b[0]; });
    var sum = 0, end = -Infinity;
    spans.forEach(function (span) {
      if (span[1] > end) { sum += span[1] - Math.max(span[0], end); end = span[1]; }
    });
    note.textContent = words === "" ? said : words + ": " + (sum / root.width * 100).toFixed(2) + " %";
  }
  boxes.forEach(function (box) {
    box.group.addEventListener("click", function () { zoom(box); });
  });
  window.addEventListener("keydown", function (event) {
    if (event.key === "/" || (event.key === "f" && (event.ctrlKey || event.metaKey))) {
      event.preventDefault();
      var words = window.prompt("Find functions by a part of their name", "");
      if (words !== null) { search(words); }
    } else if (event.key === "Escape") {
      zoom(root);
      search("");
    }
  });
})();
