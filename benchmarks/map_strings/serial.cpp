// A loop in one process: what the results by themselves cost.
#include <vector>

#include "map_strings/work.hpp"
#include "repetitions.hpp"

int main(int argc, char** argv) {
    const bench::Arguments arguments(argc, argv);
    const std::vector<std::string> in = bench::make_items();
    std::vector<std::string> out;
    const auto loop = [&] {
        out.clear();
        out.reserve(in.size());
        for (const std::string& item : in) out.push_back(bench::Shout{}(item));
    };
    bench::repeat(arguments, 1, loop, [&] { return bench::take_right(out); });
}
