// Refresh and forms. Every page works without this script.
'use strict';

// Forms of choices are sent at once; their button is for pages without script.
document.documentElement.classList.add('script');
for (const select of document.querySelectorAll('select[data-submit]')) {
  select.addEventListener('change', () => {
    for (const field of select.form.elements) if (field.name && field.value === '') field.disabled = true;
    select.form.submit();
  });
}

// One menu is open at a time, and Escape or a click elsewhere closes it.
const menus = [...document.querySelectorAll('details.menu')];
document.addEventListener('click', event => {
  for (const menu of menus) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener('keydown', event => {
  if (event.key !== 'Escape') return;
  for (const menu of menus) if (menu.open) { menu.open = false; menu.querySelector('summary').focus(); }
});

// The live tail of the log: the server renders new lines, which are put on top.
const tail = document.getElementById('tail');
if (tail) {
  const MOST = 500;
  const list = document.getElementById('lines');
  const state = document.querySelector('.tail-state');
  let stream = null;
  const stop = text => {
    stream.close();
    stream = null;
    tail.textContent = 'Follow live';
    tail.setAttribute('aria-pressed', 'false');
    state.textContent = text;
  };
  const start = () => {
    stream = new EventSource(tail.dataset.tail);
    tail.textContent = 'Stop following';
    tail.setAttribute('aria-pressed', 'true');
    state.textContent = 'Following. New lines appear on top.';
    stream.onmessage = event => {
      const known = new Set(list.children);
      list.insertAdjacentHTML('afterbegin', event.data);
      for (const line of list.children) if (!known.has(line)) line.classList.add('fresh'); else break;
      while (list.children.length > MOST) list.lastElementChild.remove();
    };
    stream.onerror = () => {
      if (stream.readyState === EventSource.CLOSED) stop('The console does not let another page follow. Stop the tail in another window first.');
    };
  };
  tail.hidden = false;
  tail.addEventListener('click', () => stream ? stop('') : start());
}
