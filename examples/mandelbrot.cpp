// A picture of the Mandelbrot set, as a PNG file: one row of pixels an item.
//
//     mandelbrot [--size WIDTH HEIGHT] [--region X Y WIDTH] [--iterations N]
//                [--workers N] [--chunksize N] [--backend NAME] [FILE]
//
//     ./mandelbrot                      alone: a worker process for every usable CPU; writes mandelbrot.png
//     rankrun -n 4 ./mandelbrot         workers on four ranks of this machine
//     mpirun -n 4 ./mandelbrot          the same over MPI
//     ./mandelbrot --region -0.7436 0.1318 0.003 --iterations 5000 seahorses.png
//
// All of them write the same file, byte for byte, whatever the number of workers, the chunksize and the backend. Rows
// take very different times, those through the middle of the set the longest: workers take them as they come free.
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include <png.h>
#include <CLI/CLI.hpp>
#include <rankpool/rankpool.hpp>

#include "pool_choices.hpp"

namespace {

using Pixel = std::array<std::uint8_t, 3>;  // red, green, blue

/// What is seen: `x` and `y` in the middle of the picture, `width` from its left edge to its right one.
struct View {
    double x = -0.75, y = 0, width = 3.5;
    std::uint32_t columns = 1200, rows = 800;
    int iterations = 1000;
};

/// Steps until the point is known to be outside of the set; `iterations` when it is not.
int escape_time(double real, double imaginary, int iterations) {
    double a = 0, b = 0;
    for (int n = 0; n < iterations; ++n) {
        const double a2 = a * a, b2 = b * b;
        if (a2 + b2 > 4) return n;
        b = 2 * a * b + imaginary;
        a = a2 - b2 + real;
    }
    return iterations;
}

/// Red, green and blue from 0 to 1: black in the set and far from it, blue, white and gold on the way.
std::array<double, 3> colour_of(int time, int iterations) {
    const double t = std::sqrt(static_cast<double>(time) / iterations), u = 1 - t;
    return {9 * u * t * t * t, 15 * u * u * t * t, 8.5 * u * u * u * t};
}

/// The task: a plain struct of numbers travels with them. Called with the number of a row.
struct RenderRow {
    View view;

    std::vector<Pixel> operator()(std::uint32_t row) const {
        constexpr std::uint32_t across = 2;  // samples in a pixel, in either direction: smoother edges
        const double step = view.width / view.columns / across;
        const double left = view.x - view.width / 2, top = view.y + step * across * view.rows / 2;
        std::vector<Pixel> pixels(view.columns);
        for (std::uint32_t column = 0; column < view.columns; ++column) {
            std::array<double, 3> sum{};
            for (std::uint32_t i = 0; i < across * across; ++i) {
                const double real = left + (column * across + i % across + 0.5) * step;
                const double imaginary = top - (row * across + i / across + 0.5) * step;
                const auto colour = colour_of(escape_time(real, imaginary, view.iterations), view.iterations);
                for (std::size_t c = 0; c < 3; ++c) sum[c] += colour[c];
            }
            for (std::size_t c = 0; c < 3; ++c)
                pixels[column][c] = static_cast<std::uint8_t>(255 * sum[c] / (across * across) + 0.5);
        }
        return pixels;
    }
};

void write_png(const std::string& file, const View& view, const std::vector<Pixel>& pixels) {
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.width = view.columns;
    image.height = view.rows;
    image.format = PNG_FORMAT_RGB;
    if (png_image_write_to_file(&image, file.c_str(), 0, pixels.data(), 0, nullptr) == 0)
        throw std::runtime_error(file + " cannot be written: " + image.message);
}

int mandelbrot(int argc, char** argv) {
    View view;
    std::array<std::uint32_t, 2> size{view.columns, view.rows};
    std::array<double, 3> region{view.x, view.y, view.width};
    std::string file = "mandelbrot.png";
    PoolChoices choices;
    CLI::App app("Draws the Mandelbrot set.", "mandelbrot");
    app.add_option("--size", size, "Columns and rows of pixels; 1200 800")->check(CLI::Range(1, 30'000));
    app.add_option("--region", region, "What is seen: the middle's x and y, and the width; -0.75 0 3.5");
    app.add_option("--iterations", view.iterations, "Steps until a point counts as in the set; 1000")
        ->check(CLI::Range(1, 1'000'000'000));
    choices.add_to(app, "Rows");
    app.add_option("FILE", file, "The picture; mandelbrot.png");
    try {
        app.parse(argc, argv);
        if (!(region[2] > 0) || !std::isfinite(region[0] + region[1] + region[2]))
            throw CLI::ValidationError("--region", "the numbers must be finite, the width more than 0");
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    view = {region[0], region[1], region[2], size[0], size[1], view.iterations};

    std::vector<std::uint32_t> rows(view.rows);
    std::iota(rows.begin(), rows.end(), 0);
    rankpool::Pool pool(choices.pool);
    std::vector<Pixel> pixels;
    pixels.reserve(std::size_t{view.columns} * view.rows);
    for (const auto& row : pool.imap(RenderRow{view}, rows, choices.map))
        pixels.insert(pixels.end(), row.begin(), row.end());
    write_png(file, view, pixels);
    std::printf("%s: %u x %u pixels, %d iterations\n", file.c_str(), view.columns, view.rows, view.iterations);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    // The arguments are looked at inside: there only one rank does so, and a mistake in them is reported once.
    return rankpool::run(argc, argv, [&] { return mandelbrot(argc, argv); });
}
