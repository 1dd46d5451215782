'use strict';
const tip = document.body.appendChild(Object.assign(document.createElement('div'), { className: 'tip', hidden: true }));

function tell(event, text, picture) {
  tip.hidden = !text;
  tip.textContent = text;
  if (picture) tip.prepend(Object.assign(new Image(), { src: `data:image/jpeg;base64,${picture}`, alt: '' }));
  const right = event.clientX + 14 + tip.offsetWidth > innerWidth;
  tip.style.left = `${Math.max(4, right ? event.clientX - 14 - tip.offsetWidth : event.clientX + 14)}px`;
  tip.style.top = `${Math.max(4, event.clientY - 14 - tip.offsetHeight)}px`;
}

// Charts: of every curve the value that is nearest to the pointer.
for (const svg of document.querySelectorAll('svg[data-x]')) {
  const [low, high, left, right] = svg.dataset.x.split(' ').map(Number);
  const unit = svg.dataset.unit ?? '';
  const scale = 'logarithmic' in svg.dataset ? Math.log10 : Number;
  const cursor = svg.querySelector('.cursor');
  const curves = [...svg.querySelectorAll('[data-values]')].map(({ dataset }) => ({
    name: dataset.name,
    points: dataset.values.split(',').map(point => point.split(' ')),
  }));
  svg.addEventListener('pointermove', event => {
    const box = svg.getBoundingClientRect();
    const place = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    const x = low + (place - left) / (right - left) * (high - low);
    const nearest = points => points.reduce((a, b) => Math.abs(scale(b[0]) - x) < Math.abs(scale(a[0]) - x) ? b : a);
    const found = curves.map(curve => ({ name: curve.name, point: nearest(curve.points) }));
    const at = nearest(found.map(({ point }) => point))[0];
    for (const end of ['x1', 'x2']) cursor.setAttribute(end, left + (scale(at) - low) / (high - low) * (right - left));
    const lines = found.map(({ name, point }) => `${name}: ${point[1]}${unit}`);
    tell(event, [`${svg.dataset.of} ${at}`, ...lines].join('\n'));
  });
  svg.addEventListener('pointerleave', event => {
    tell(event, '');
    for (const end of ['x1', 'x2']) cursor.setAttribute(end, -9);
  });
}

// Cells of the confusion matrix, and whatever else has a text of its own.
function ofCell(cell) {
  const [row, column] = [cell.parentNode.cells[0], cell.closest('table').tHead.rows[0].cells[cell.cellIndex]];
  const share = (100 * cell.style.getPropertyValue('--share')).toFixed(1);
  const count = cell.textContent === '·' ? 0 : cell.textContent;
  return `${row.textContent} taken for ${column.textContent}\n${count} (${share} % of the class)`;
}
for (const cell of document.querySelectorAll('.matrix tbody td, [data-tip]')) {
  cell.addEventListener('pointermove', event => tell(event, cell.dataset.tip ?? ofCell(cell), cell.dataset.picture));
  cell.addEventListener('pointerleave', event => tell(event, ''));
}

// Tables that are sorted by the column that is pressed.
const number = text => text === '–' ? -1 : Number(text.replaceAll(',', ''));
for (const table of document.querySelectorAll('.sortable')) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = Object.assign(document.createElement('button'), { textContent: head.textContent });
    head.replaceChildren(button);
    button.addEventListener('click', () => {
      const down = head.getAttribute('aria-sort') === 'ascending';
      heads.forEach(other => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const text = row => row.cells[column].textContent;
      const compare = (a, b) => column ? number(text(a)) - number(text(b)) : text(a).localeCompare(text(b));
      const rows = [...table.tBodies[0].rows].sort((a, b) => down ? compare(b, a) : compare(a, b));
      table.tBodies[0].append(...rows);
    });
  });
}
