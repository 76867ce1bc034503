// Every PNG picture in a folder, blurred and as a thumbnail: one file an item.
//
//     image_folder [--radius N] [--size N] [--workers N] [--chunksize N] INPUT OUTPUT
//
//     ./image_folder photos out                  alone: a worker process for every usable CPU
//     rankrun -n 4 ./image_folder photos out     workers on four ranks of this machine
//     mpirun -n 4 ./image_folder photos out      the same over MPI; the files are read and written where the workers
//     are
//
// Writes OUTPUT/blurred/NAME and OUTPUT/thumbnails/NAME for each INPUT/NAME.png. A file that cannot be read is named on
// stderr and skipped, and so is one on which the decoder crashes: that takes a worker process down and costs this file.
// Exit code: 0 when all files were done, 1 when one was skipped, 2 when the arguments were wrong.
#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <png.h>
#include <CLI/CLI.hpp>
#include <rankpool/rankpool.hpp>

#include "pool_choices.hpp"

namespace {

constexpr std::size_t channels = 4;
constexpr std::uint32_t most = 255;
using Bytes = std::array<std::uint8_t, channels>;  // red, green, blue, opacity, as in a file

// Amounts of light, of which a mean looks right: the squares of the colours, times the opacity, which comes last as if
// it were the whitest colour.
using Pixel = std::array<std::uint32_t, channels>;

constexpr std::uint64_t most_pixels = 1 << 26;  // a header of a few bytes can claim any size

Pixel light_of(const Bytes& bytes) {
    const auto light = [&](std::uint32_t colour) { return colour * colour * bytes[3]; };
    return {light(bytes[0]), light(bytes[1]), light(bytes[2]), light(most)};
}

Bytes bytes_of(const Pixel& pixel) {
    if (pixel[3] == 0) return {};
    const auto colour = [&](std::uint32_t light) {
        const double share = std::min(static_cast<double>(light) / pixel[3], 1.0);
        return static_cast<std::uint8_t>(std::sqrt(share) * most + 0.5);
    };
    constexpr std::uint32_t white = most * most;
    const auto opacity = static_cast<std::uint8_t>((pixel[3] + white / 2) / white);
    return {colour(pixel[0]), colour(pixel[1]), colour(pixel[2]), opacity};
}

struct Image {
    std::size_t width = 0, height = 0;
    std::vector<Pixel> pixels;  // row by row
};

/// Of a line of pixels: those from `begin` on, before `end`.
struct Section {
    std::size_t begin, end;
};

struct Done {
    std::size_t width, height, thumbnail_width, thumbnail_height;
};

Image read_png(const std::string& file) {
    png_image header{};
    header.version = PNG_IMAGE_VERSION;
    const std::unique_ptr<png_image, void (*)(png_image*)> owner(&header, png_image_free);
    if (png_image_begin_read_from_file(&header, file.c_str()) == 0) throw std::runtime_error(header.message);
    if (std::uint64_t{header.width} * header.height > most_pixels)
        throw std::runtime_error("has " + std::to_string(header.width) + " x " + std::to_string(header.height) +
                                 " pixels, more than are taken");
    header.format = PNG_FORMAT_RGBA;
    std::vector<Bytes> bytes(std::size_t{header.width} * header.height);
    if (png_image_finish_read(&header, nullptr, bytes.data(), 0, nullptr) == 0)
        throw std::runtime_error(header.message);
    Image image{header.width, header.height, std::vector<Pixel>(bytes.size())};
    std::transform(bytes.begin(), bytes.end(), image.pixels.begin(), light_of);
    return image;
}

void write_png(const std::string& file, const Image& image) {
    png_image header{};
    header.version = PNG_IMAGE_VERSION;
    header.width = static_cast<png_uint_32>(image.width);
    header.height = static_cast<png_uint_32>(image.height);
    header.format = PNG_FORMAT_RGBA;
    std::vector<Bytes> bytes(image.pixels.size());
    std::transform(image.pixels.begin(), image.pixels.end(), bytes.begin(), bytes_of);
    if (png_image_write_to_file(&header, file.c_str(), 0, bytes.data(), 0, nullptr) == 0)
        throw std::runtime_error(file + " cannot be written: " + header.message);
}

/// Rows of `width` pixels, number x the mean of section_of(x) of the old row. They come out as columns: whoever does it
/// twice has done it in both directions. The sums up to each pixel make the mean of a long section as cheap as any.
template <class SectionOf>
Image average_rows(const Image& image, std::size_t width, const SectionOf& section_of) {
    Image result{image.height, width, std::vector<Pixel>(image.height * width)};
    std::vector<std::array<std::uint64_t, channels>> sums(image.width + 1);  // sums[x]: of the pixels before x
    for (std::size_t y = 0; y < image.height; ++y) {
        const auto row = std::span(image.pixels).subspan(y * image.width, image.width);
        for (std::size_t x = 0; x < image.width; ++x)
            for (std::size_t c = 0; c < channels; ++c) sums[x + 1][c] = sums[x][c] + row[x][c];
        for (std::size_t x = 0; x < width; ++x) {
            const Section section = section_of(x);
            const std::uint64_t count = section.end - section.begin;
            for (std::size_t c = 0; c < channels; ++c) {
                const std::uint64_t sum = sums[section.end][c] - sums[section.begin][c];
                result.pixels[x * image.height + y][c] = static_cast<std::uint32_t>((sum + count / 2) / count);
            }
        }
    }
    return result;
}

/// Each pixel becomes the mean of those at most `radius` away in either direction, as far as there are any.
Image blur(const Image& image, std::size_t radius) {
    const auto window = [radius](std::size_t length) {
        return [radius, length](std::size_t x) {
            return Section{x > radius ? x - radius : 0, std::min(x + radius + 1, length)};
        };
    };
    return average_rows(average_rows(image, image.width, window(image.width)), image.height, window(image.height));
}

/// At most `size` pixels long and wide, in the same proportions. A smaller image stays as it is.
Image shrink(const Image& image, std::size_t size) {
    const std::size_t longest = std::max(image.width, image.height), limit = std::min(size, longest);
    const auto shrunk = [=](std::size_t length) {
        return std::max<std::size_t>(1, (length * limit + longest / 2) / longest);
    };
    const auto cell = [&](std::size_t length) {
        return [length, cells = shrunk(length)](std::size_t x) {
            return Section{x * length / cells, (x + 1) * length / cells};
        };
    };
    return average_rows(average_rows(image, shrunk(image.width), cell(image.width)), shrunk(image.height),
                        cell(image.height));
}

/// The task: a struct of members that can travel, and what it does with a file. Throws what is wrong with it.
struct Convert {
    std::string input, output;
    std::size_t radius = 4, size = 128;

    Done operator()(const std::string& name) const {
        const Image image = read_png(input + "/" + name);
        const Image thumbnail = shrink(image, size);
        write_png(output + "/blurred/" + name, blur(image, radius));
        write_png(output + "/thumbnails/" + name, thumbnail);
        return {image.width, image.height, thumbnail.width, thumbnail.height};
    }
};

/// Names of the PNG files in a folder, in alphabetical order.
std::vector<std::string> pictures_in(const std::string& folder) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        std::string extension = entry.path().extension().string();
        for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        if (extension == ".png" && !entry.is_directory()) names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
}

int image_folder(int argc, char** argv) {
    Convert convert;
    PoolChoices choices;
    CLI::App app("Blurs every PNG picture in a folder, and makes a thumbnail of it.", "image_folder");
    app.add_option("--radius", convert.radius, "Of the blur, in pixels; 4")->check(CLI::Range(0, 10'000));
    app.add_option("--size", convert.size, "Longest side of a thumbnail, in pixels; 128")->check(CLI::Range(1, 10'000));
    choices.add_to(app, "Files");
    app.add_option("INPUT", convert.input, "The folder with the pictures")->required()->check(CLI::ExistingDirectory);
    app.add_option("OUTPUT", convert.output, "The folder for the results; made if it is not there")->required();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    const std::vector<std::string> names = pictures_in(convert.input);
    for (const char* const folder : {"blurred", "thumbnails"})
        std::filesystem::create_directories(convert.output + "/" + folder);

    rankpool::Pool pool(choices.pool);
    const auto outcomes = pool.map_outcomes(convert, names, choices.map);  // each file's result, or its error

    std::size_t skipped = 0;
    for (std::size_t i = 0; i < names.size(); ++i) {
        try {
            const Done& done = outcomes[i].value();
            std::printf("%s: %zu x %zu, thumbnail %zu x %zu\n", names[i].c_str(), done.width, done.height,
                        done.thumbnail_width, done.thumbnail_height);
        } catch (const std::exception& error) {
            std::fprintf(stderr, "image_folder: %s/%s: %s; skipped\n", convert.input.c_str(), names[i].c_str(),
                         error.what());
            ++skipped;
        }
    }
    std::printf("pictures: %zu done, %zu skipped\n", names.size() - skipped, skipped);
    return skipped == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [&] { return image_folder(argc, argv); });
}
