(function () {
  'use strict';
  var source = document.getElementById('columns');
  var area = document.querySelector('.time');
  if (!source || !area) { return; }
  var data = JSON.parse(source.textContent);
  var says = Array.from(area.querySelectorAll('[data-says]'));
  var before = says.map(function (one) { return one.textContent; });
  var cursors = Array.from(area.querySelectorAll('.cursor'));
  var plot = area.querySelector('.plot');
  var two = function (number) { return String(number).padStart(2, '0'); };
  function moment(seconds) {
    var long = data.seconds > 172800;
    var hours = Math.floor(seconds / 3600);
    var clock = (long ? hours % 24 : hours) + ':' + two(Math.floor(seconds / 60) % 60) + (data.each % 60 ? ':' + two(seconds % 60) : '');
    return long ? 'day ' + (Math.floor(hours / 24) + 1) + ', ' + clock : clock;
  }
  function show(event) {
    var box = plot.getBoundingClientRect();
    var share = (event.clientX - box.left) / box.width;
    if (!(share >= 0 ? share === Math.min(share, 1) : false)) { hide(); return; }
    var column = Math.min(data.arrivals.length - 1, Math.floor(share * data.arrivals.length));
    cursors.forEach(function (cursor) {
      cursor.style.left = 100 * (column + .5) / data.arrivals.length + '%';
      cursor.style.visibility = 'visible';
    });
    says.forEach(function (one) {
      var policy = data.policies[one.dataset.says];
      one.textContent = policy
        ? policy.wanted[column] + ' wanted · ' + policy.ready[column] + ' ready · ' + policy.busy[column] + ' at work · ' + policy.waiting[column] + ' waiting'
        : moment(column * data.each) + ' · ' + data.arrivals[column] + ' a second · ' + data.demand[column] + ' needed';
    });
  }
  function hide() {
    cursors.forEach(function (cursor) { cursor.style.visibility = 'hidden'; });
    says.forEach(function (one, i) { one.textContent = before[i]; });
  }
  area.addEventListener('pointermove', show);
  area.addEventListener('pointerdown', show);
  area.addEventListener('pointerleave', hide);
}());
