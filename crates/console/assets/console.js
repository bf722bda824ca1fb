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
