// Curves in a picture, drawn by gnuplot.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace nnc {

struct Curve {
  std::string name;
  std::vector<std::pair<double, double>> points; // x, y; a y that is not finite leaves a gap
};

struct Chart {
  std::string x_label;
  // Panels, one below the other, with the x axis in common.
  std::vector<std::vector<Curve>> panels;
  bool marks = false; // a mark at each point
};

// Writes the picture, whole or not at all. The ending of the file says what it is: .svg, .png or .pdf. Throws Error, also where
// gnuplot is not installed and where a chart shows nothing.
void draw(const Chart &chart, const std::string &file);

// Throws Error unless the name ends in .svg, .png or .pdf.
void check_picture_name(const std::string &file);

} // namespace nnc
