// One copy of the items within one process, and nothing sent: no result can be made in less.
#pragma once

#include <utility>

#include "repetitions.hpp"

namespace bench {

/// The program, with what `make()` returns.
template <class Make>
void copy_items(int argc, char** argv, Make make) {
    const Arguments arguments(argc, argv);
    const auto items = make();
    auto back = decltype(make())();
    repeat(arguments, 1, [&] { back = items; }, [&] { return std::exchange(back, {}) == items; });
}

}  // namespace bench
