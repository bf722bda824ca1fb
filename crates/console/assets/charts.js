
// Values at the pointer and by keys, for charts that the server has drawn. Their data stands in the page.
{
  const NS = 'http://www.w3.org/2000/svg';
  const clock = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit', timeZone: 'UTC' });
  const short = number => {
    const size = Math.abs(number);
    return size >= 1000 ? number.toFixed(0) : String(Number(number.toPrecision(3)));
  };
  const scaled = (number, steps) => {
    const [limit, suffix] = steps.find(([limit]) => Math.abs(number) >= limit) ?? steps.at(-1);
    return short(number / limit) + suffix;
  };
  const thousands = suffix => [[1e9, 'G' + suffix], [1e6, 'M' + suffix], [1e3, 'k' + suffix], [1, suffix]];
  const binary = suffix => [[2 ** 30, ' GiB' + suffix], [2 ** 20, ' MiB' + suffix], [2 ** 10, ' KiB' + suffix], [1, ' B' + suffix]];
  const seconds = number => {
    const size = Math.abs(number);
    if (size === 0 || (size >= 1 && size < 120)) return short(number) + ' s';
    if (size < 1e-3) return short(number * 1e6) + ' µs';
    if (size < 1) return short(number * 1e3) + ' ms';
    if (size >= 172800) return short(number / 86400) + ' d';
    return size >= 7200 ? short(number / 3600) + ' h' : short(number / 60) + ' min';
  };
  // The units have the names that the server gives them.
  const units = {
    short: number => scaled(number, thousands('')), none: short, s: seconds, dtdurations: seconds,
    percentunit: number => short(number * 100) + '%', bytes: number => scaled(number, binary('')), binBps: number => scaled(number, binary('/s')),
    reqps: number => short(number) + ' req/s', ops: number => short(number) + '/s', 'suffix: CPU': number => short(number) + ' CPU',
  };
  const element = (name, attributes, parent) => {
    const made = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    parent.append(made);
    return made;
  };

  const prepareAll = () => { for (const figure of document.querySelectorAll('figure[data-chart]')) enhance(figure); };
  function enhance(figure) {
    const chart = figure.querySelector('.chart'), plot = chart.querySelector('.plot'), content = figure.querySelector('.content');
    let data = null, cross, dots, box, at = null;
    const live = document.createElement('output');
    live.className = 'only';
    figure.append(live);
    chart.tabIndex = 0;
    const text = (series, index) => {
      const value = series.values[index];
      return value == null ? '–' : (units[series.unit ?? data.unit] ?? short)(value);
    };
    const prepare = () => {
      if (data) return;
      data = JSON.parse(figure.querySelector('script.data').textContent);
      at = data.count - 1;
      const height = Number(plot.getAttribute('height')) - 20;
      cross = element('line', { class: 'cross', y1: 8, y2: height }, plot);
      dots = data.series.map(series => element('circle', { class: 'at ' + series.color, r: 3.5 }, plot));
      box = document.createElement('div');
      box.className = 'values';
      content.append(box);
    };
    const show = index => {
      prepare();
      at = Math.max(0, Math.min(data.count - 1, index));
      const share = data.count > 1 ? at / (data.count - 1) : 1;
      const x = `${share * 100}%`;
      cross.setAttribute('x1', x);
      cross.setAttribute('x2', x);
      const rows = [];
      data.series.forEach((series, number) => {
        const y = series.y[at], known = y != null;
        dots[number].toggleAttribute('hidden', !known);
        if (!known) return;
        dots[number].setAttribute('cx', x);
        dots[number].setAttribute('cy', y);
        rows.push([y, series]);
      });
      rows.sort((a, b) => a[0] - b[0]);
      const time = document.createElement('time');
      time.textContent = clock.format(new Date(data.start + data.step * at)) + ' UTC';
      box.replaceChildren(time, ...rows.slice(0, 14).map(([, series]) => {
        const row = document.createElement('div'), name = document.createElement('span'), value = document.createElement('b');
        row.className = series.color;
        row.append(document.createElement('i'), name, value);
        name.textContent = series.name;
        value.textContent = text(series, at);
        return row;
      }));
      for (const part of [cross, box]) part.toggleAttribute('hidden', false);
      const around = content.getBoundingClientRect(), area = plot.getBoundingClientRect();
      const left = area.left - around.left + area.width * share;
      const width = box.offsetWidth, fits = left + 14 + width < around.width;
      box.style.left = `${fits ? left + 14 : Math.max(0, left - 14 - width)}px`;
      box.style.top = '4px';
      return rows;
    };
    const hide = () => { if (data) for (const part of [cross, box, ...dots]) part.toggleAttribute('hidden', true); };
    const seek = event => {
      prepare();
      const area = plot.getBoundingClientRect();
      show(Math.round((event.clientX - area.left) / area.width * (data.count - 1)));
    };
    chart.addEventListener('pointermove', seek);
    chart.addEventListener('pointerdown', seek);
    chart.addEventListener('pointerleave', hide);
    chart.addEventListener('blur', hide);
    chart.addEventListener('keydown', event => {
      prepare();
      const jump = event.shiftKey ? Math.max(1, Math.round(data.count / 24)) : 1;
      const to = { ArrowLeft: at - jump, ArrowRight: at + jump, Home: 0, End: data.count - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const rows = show(to);
      live.textContent = clock.format(new Date(data.start + data.step * at)) + ': ' + rows.map(([, series]) => `${series.name} ${text(series, at)}`).join(', ');
    });
  }
  prepareAll();
  document.addEventListener('refreshed', prepareAll);
}

// Refresh: the content is fetched and exchanged, unless somebody reads, chooses or types just then.
{
  const seconds = Number(document.body.dataset.refresh);
  const isBusy = () => document.hidden || document.querySelector('details[open], figure:hover[data-chart], main :focus-visible') !== null;
  const refresh = async () => {
    if (isBusy()) return;
    try {
      const response = await fetch(location.href, { headers: { accept: 'text/html' } });
      if (!response.ok) return;
      const page = new DOMParser().parseFromString(await response.text(), 'text/html');
      const style = document.querySelector('link[rel=stylesheet]').getAttribute('href');
      // A new version of the console has other files.
      if (page.querySelector('link[rel=stylesheet]')?.getAttribute('href') !== style) return location.reload();
      const y = scrollY;
      document.querySelector('main').replaceWith(page.querySelector('main'));
      document.querySelector('footer').replaceWith(page.querySelector('footer'));
      scrollTo(0, y);
      document.dispatchEvent(new Event('refreshed'));
    } catch { /* The console restarts: the next attempt may succeed. */ }
  };
  if (seconds > 0) setInterval(refresh, seconds * 1000);
}
