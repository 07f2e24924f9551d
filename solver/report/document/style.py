"""How a page looks: one style sheet, by whose hash the page's policy admits it and no other."""

from __future__ import annotations

from solver.report.charts.canvas import CSS as CHART_CSS
from solver.report.charts.canvas import THEMES

_PAGE = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,"Segoe UI","Noto Sans","Noto Sans CJK SC",\
"PingFang SC","Microsoft YaHei",sans-serif}
.page{max-width:1100px;margin:0 auto;padding:24px 20px 40px}
h1{font-size:15px;font-weight:600;margin:0 0 10px;color:var(--soft);letter-spacing:.02em}
.headline{font-size:23px;line-height:1.32;font-weight:600;margin:0 0 12px;max-width:46em;text-wrap:pretty}
.verdict{display:inline-block;margin:0;padding:3px 10px;border-radius:4px;background:var(--warn);\
border:1px solid var(--line);font-size:14px}
.verdict.good{background:var(--good)}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:20px 0 0;padding:0}
.facts>div{border:1px solid var(--line);border-radius:6px;padding:10px 14px}
.facts dt{color:var(--soft);font-size:13px}.facts dt::first-letter,h3::first-letter,th::first-letter\
{text-transform:uppercase}
.facts dd{margin:0;font-variant-numeric:tabular-nums}.facts dd.value{font-size:22px;font-weight:600;line-height:1.3}
.facts dd.note{color:var(--soft);font-size:13px}
nav{margin:18px 0 0;font-size:14px;line-height:2}nav a{margin-right:16px;white-space:nowrap}
a{color:var(--accent)}
a:focus-visible,input:focus-visible,[tabindex]:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
section{margin-top:34px}
h2{font-size:19px;margin:0 0 12px;padding-bottom:6px;border-bottom:1px solid var(--line)}
h3{font-size:14.5px;font-weight:600;margin:22px 0 8px}
p{margin:0 0 8px;max-width:75ch}
.notes{margin:0;padding:12px 14px 12px 30px;background:var(--warn);border:1px solid var(--line);border-radius:6px}
.notes li{overflow-wrap:anywhere;margin:2px 0}
ul.plain{margin:0;padding-left:20px}ul.plain li{overflow-wrap:anywhere}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(340px,100%),1fr));gap:30px 20px}
figure{margin:0}figure+figure{margin-top:26px}.charts figure+figure{margin:0}
.narrow{display:none}.wide svg,.narrow svg{width:100%}
.scroll{overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;font-size:13.5px;line-height:1.4}
th{text-align:left;font-weight:600;color:var(--soft);border-bottom:1px solid var(--fg);vertical-align:bottom}
th,td{padding:5px 14px 5px 0}th:last-child,td:last-child{padding-right:0}
td{border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:break-word}
.any td{overflow-wrap:anywhere}
.num+:not(.num){padding-left:10px}
.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.under{color:var(--soft);font-size:13px;margin:8px 0 0}
footer{margin-top:40px;padding-top:12px;border-top:1px solid var(--line);color:var(--soft);font-size:12.5px;\
overflow-wrap:anywhere}
footer p{max-width:none;margin:0 0 4px}
.filter{display:block;margin:0 0 8px;font-size:13px;color:var(--soft)}
.filter input{font:inherit;color:var(--fg);background:var(--bg);border:1px solid var(--soft);border-radius:4px;\
padding:5px 8px;margin-left:8px;width:min(260px,55vw)}
.tip{position:fixed;z-index:9;max-width:320px;padding:6px 10px;border-radius:4px;background:var(--fg);color:var(--bg);\
font-size:13px;pointer-events:none;overflow-wrap:anywhere}
.tip[hidden]{display:none}.chart .dim{opacity:.18}.chart [data-rig]{cursor:pointer}
.chart .mini{font-size:10.5px;font-weight:600}.chart .cell{font-size:11px}.chart .tick{font-size:11px}
.chart .lead{fill:none}.chart .cell{pointer-events:none}
.gone{display:none}
@media screen and (max-width:719px){
.page{padding:16px 16px 32px}.headline{font-size:19px}
.wide{display:none}.narrow{display:block}.charts svg{width:100%}
.facts{grid-template-columns:1fr 1fr}.facts dd.value{font-size:19px}
table:not(.fits) thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
table:not(.fits),:not(.fits)>tbody,:not(.fits)>tbody tr,:not(.fits)>tbody td{display:block}
:not(.fits)>tbody tr{border-bottom:1px solid var(--fg);padding:7px 0}
:not(.fits)>tbody td{overflow-wrap:anywhere;border:0;padding:1px 0;text-align:left;white-space:normal;display:grid;\
grid-template-columns:minmax(84px,30%) 1fr;gap:10px}
:not(.fits)>tbody td:empty{display:none}
:not(.fits)>tbody td::before{content:attr(data-th);color:var(--soft)}
.num+:not(.num){padding-left:0}
:not(.fits)>tbody td:first-child{display:block;font-weight:600}:not(.fits)>tbody td:first-child::before{content:none}
.fits th,.fits td{padding-right:9px}.fits{font-size:13px}
}
@page{size:A4;margin:13mm 12mm}
@media print{
body{font-size:10.5pt;print-color-adjust:exact;-webkit-print-color-adjust:exact}
.page{padding:0 1px;max-width:none}nav,.filter,.tip{display:none}
.headline{font-size:15pt}
section{margin-top:20px}h2{font-size:13pt}h2,h3{break-after:avoid}
table{font-size:8.6pt}th,td{padding:3px 9px 3px 0}
tr,figure,.facts,.notes li{break-inside:avoid}thead{display:table-header-group}
.charts{grid-template-columns:1fr 1fr;gap:20px 22px}.facts{grid-template-columns:repeat(4,1fr)}
.facts dd.value{font-size:14pt}
.gone{display:revert}
}
"""
CSS = THEMES + CHART_CSS + _PAGE
