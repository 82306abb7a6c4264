// Colours of the pictures. Every colour stands here twice, for light and for dark, and nowhere else.

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "observe/picture.h"

namespace evenkeel::observe {

namespace {

struct Colour {
  double red;
  double green;
  double blue;
};

std::string hex(const Colour& colour) {
  return fmt::format("#{:02x}{:02x}{:02x}", std::lround(colour.red), std::lround(colour.green),
                     std::lround(colour.blue));
}

Colour mixed(const Colour& from, const Colour& to, double part) {
  return {from.red + (to.red - from.red) * part, from.green + (to.green - from.green) * part,
          from.blue + (to.blue - from.blue) * part};
}

// One scheme: what is written, and the heat map's ends, between which there are eight steps.
struct Scheme {
  std::string_view variables;
  Colour ground;
  std::array<Colour, 2> below;  // half of the mean, nothing
  std::array<Colour, 2> above;  // one and a half times the mean, twice
};

constexpr Scheme kLight{
    "--ground:#ffffff;--ink:#1b2430;--soft:#5b6675;--rule:#c3cad4;--faint:#e8ebf0;"
    "--run:#0b7a5e;--static:#b3492b;--gain:#0b7a5e18;--overload:#b3492b14;"
    "--stayed:#9fb0c6;--moved:#0b7a5e;--edge:#ffffff;"
    "--w0:#2f5fd0;--w1:#c07f00;--w2:#d1472f;--w3:#1f8f86;--w4:#5a8a1e;--w5:#b83d84;--w6:#7446cf;--w7:#"
    "5d6b7c;",
    {244, 245, 247},
    {{{126, 170, 222}, {24, 78, 150}}},
    {{{236, 150, 112}, {160, 28, 20}}}};

constexpr Scheme kDark{
    "--ground:#12161c;--ink:#e6eaf0;--soft:#9aa6b5;--rule:#3d4855;--faint:#232b35;"
    "--run:#4fd1ab;--static:#ff9070;--gain:#4fd1ab20;--overload:#ff907014;"
    "--stayed:#55657a;--moved:#4fd1ab;--edge:#12161c;"
    "--w0:#7fa2ff;--w1:#f0bb3c;--w2:#ff8a72;--w3:#5fd0c4;--w4:#a2d35c;--w5:#f48fc6;--w6:#b597ff;--w7:#"
    "aab4c2;",
    {35, 42, 51},
    {{{48, 104, 168}, {128, 190, 255}}},
    {{{176, 78, 48}, {255, 160, 128}}}};

std::string heat_variables(const Scheme& scheme) {
  std::string css = fmt::format("--heat:{};", hex(scheme.ground));
  for (int step = 1; step <= 8; ++step) {
    const auto colour = [&](const std::array<Colour, 2>& ends) {
      return hex(step <= 4 ? mixed(scheme.ground, ends[0], step / 4.0)
                           : mixed(ends[0], ends[1], (step - 4) / 4.0));
    };
    css += fmt::format("--b{}:{};--a{}:{};", step, colour(scheme.below), step, colour(scheme.above));
  }
  return css;
}

std::string numbered_classes() {
  std::string css;
  for (int worker = 0; worker < 8; ++worker) css += fmt::format(".w{0}{{stroke:var(--w{0})}}", worker);
  for (int step = 1; step <= 8; ++step) {
    css += fmt::format(".below{0}{{fill:var(--b{0})}}.above{0}{{fill:var(--a{0})}}", step);
  }
  return css;
}

constexpr std::string_view kClasses =
    ".picture{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}"
    ".ground{fill:var(--ground)}"
    ".heading{font-size:15px;font-weight:600;fill:var(--ink)}"
    ".figure{font-size:14px;font-weight:600}"
    "text.run{fill:var(--run)}text.static{fill:var(--static)}"
    ".tick{font-size:12px;fill:var(--soft)}.note{font-size:12px;fill:var(--soft)}"
    ".axis{stroke:var(--rule)}.grid{stroke:var(--faint)}"
    ".fair{stroke:var(--ink);stroke-dasharray:3 3}"
    ".worker{fill:none;stroke-width:1.6;stroke-linejoin:round}"
    ".overload{fill:var(--overload)}"
    ".heat,.heat-ground{shape-rendering:crispEdges}.heat-ground{fill:var(--heat)}"
    ".bucket{stroke:var(--edge);stroke-width:.6}.stayed{fill:var(--stayed)}.moved{fill:var(--moved)}"
    ".small{opacity:.7}"
    ".ratio{fill:none;stroke-width:2;stroke-linejoin:round}"
    ".ratio.run{stroke:var(--run)}.ratio.static{stroke:var(--static)}"
    ".gain{fill:var(--gain)}.moves{fill:var(--soft)}";

}  // namespace

std::string picture_style() {
  return fmt::format(
      ":root{{color-scheme:light dark;{}{}}}@media(prefers-color-scheme:dark){{:root{{{}{}}}}}{}{}",
      kLight.variables, heat_variables(kLight), kDark.variables, heat_variables(kDark), kClasses,
      numbered_classes());
}

}  // namespace evenkeel::observe
