// Reductions whose last bit depends on order and brackets, as exact bytes.
//
//     diff <(rankrun -n 7 digest) <(mpirun -n 7 digest)      nothing: the same on every transport
//
// Rank 0 prints lines "name [rank] offset: bytes"; every rank has the same operands in every run with as many ranks.
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace {

std::string bytes_of(const std::string& text) { return text; }
template <class T>
    requires std::is_arithmetic_v<T>
std::string bytes_of(const T& value) {
    std::string bytes(sizeof value, '\0');
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
}

/// a x + b.
struct Line {
    double a, b;
};
std::string bytes_of(const Line& line) { return bytes_of(line.a) + bytes_of(line.b); }
Line then(const Line& first, const Line& second) { return {second.a * first.a, second.a * first.b + second.b}; }

template <class T>
std::string bytes_of(const std::vector<T>& values) {
    std::string bytes;
    for (const T& value : values) bytes += bytes_of(value);
    return bytes;
}

/// FNV-1a.
std::uint64_t hash_of(const std::string& bytes) {
    std::uint64_t hash = 14695981039346656037u;
    for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211u;
    return hash;
}

/// Collective. Rank 0 prints what each rank got; of long results a hash.
void print(rankpool::Communicator& world, const std::string& name, const std::string& own) {
    constexpr std::size_t per_line = 64, longest = 8192;
    const std::vector<std::string> all = world.gather(own);
    for (std::size_t r = 0; r < all.size(); ++r) {
        if (all[r].size() > longest) {
            std::printf("%s [%zu] %zu bytes: hash %016llx\n", name.c_str(), r, all[r].size(),
                        static_cast<unsigned long long>(hash_of(all[r])));
            continue;
        }
        if (all[r].empty()) std::printf("%s [%zu] nothing\n", name.c_str(), r);
        for (std::size_t begin = 0; begin < all[r].size(); begin += per_line) {
            std::printf("%s [%zu] %zu: ", name.c_str(), r, begin);
            for (const char byte : all[r].substr(begin, per_line))
                std::printf("%02x", static_cast<unsigned>(static_cast<unsigned char>(byte)));
            std::printf("\n");
        }
    }
}

/// Element i of a rank: of both signs and many sizes, so that no two brackets round alike.
double operand(int rank, std::size_t i) {
    std::uint64_t x = static_cast<std::uint64_t>(rank) * 1'000'003u + i + 1;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    const double mantissa = static_cast<double>(x >> 11) * 0x1p-53 + 0.5;
    return std::ldexp(x % 2 == 0 ? mantissa : -mantissa, static_cast<int>(x % 41) - 20);
}

template <class T>
std::vector<T> operands(int rank, std::size_t count) {
    std::vector<T> all;
    for (std::size_t i = 0; i < count; ++i) all.push_back(static_cast<T>(operand(rank, i)));
    return all;
}

template <class T>
std::string bytes_of(const std::optional<T>& value) {
    return value ? bytes_of(*value) : std::string();
}

/// Every reduction of one value a rank.
template <class T, class Op>
void values(rankpool::Communicator& world, const std::string& name, const T& own, Op op) {
    print(world, name + " reduce", bytes_of(world.reduce(own, op, world.size() - 1)));
    print(world, name + " allreduce", bytes_of(world.allreduce(own, op)));
    print(world, name + " scan", bytes_of(world.scan(own, op)));
    print(world, name + " exscan", bytes_of(world.exscan(own, op)));
}

/// Every reduction of elements.
template <class T, class Op>
void elements(rankpool::Communicator& world, const std::string& name, const std::vector<T>& own, Op op) {
    const std::span<const T> span(own);
    const std::string counted = name + " x" + std::to_string(own.size());
    print(world, counted + " reduce", bytes_of(world.reduce(span, op, world.size() / 2)));
    const std::vector<T> everywhere = world.allreduce(span, op);
    print(world, counted + " allreduce", world.rank() == 0 ? bytes_of(everywhere) : bytes_of(hash_of(bytes_of(everywhere))));
    std::vector<T> into(own.size(), own.empty() ? T{} : own.front());
    world.allreduce_into(own, into, op);
    print(world, counted + " allreduce_into agrees", bytes_of(bytes_of(into) == bytes_of(everywhere)));
}

void digest(rankpool::Communicator& world) {
    const int rank = world.rank();
    const double wide = operand(rank, 0), near_one = 1.0 + 1e-7 * wide;
    const auto cancelling = [](double a, double b) { return 0.5 * a - b; };  // neither associative nor commutative
    values(world, "double plus", wide, std::plus<>{});
    values(world, "double multiplies", near_one, std::multiplies<>{});
    values(world, "double lambda", wide, cancelling);
    values(world, "double with state", wide, [weight = 1.0 + 1e-9](double a, double b) { return a + weight * b; });
    values(world, "float plus", static_cast<float>(wide), std::plus<>{});
    values(world, "float multiplies", static_cast<float>(near_one), std::multiplies<float>{});
    values(world, "line", Line{near_one, wide}, then);
    values(world, "string", std::to_string(rank) + (rank % 4 == 0 ? "" : ","), std::plus<>{});

    for (const std::size_t count : {1u, 7u, 1000u, 20'011u}) {
        elements(world, "doubles plus", operands<double>(rank, count), std::plus<>{});
        elements(world, "doubles lambda", operands<double>(rank, count), cancelling);
        elements(world, "floats plus", operands<float>(rank, count), std::plus<>{});
    }
    std::vector<Line> lines;
    for (std::size_t i = 0; i < 100; ++i) lines.push_back({1.0 + 1e-3 * operand(rank, i), operand(rank, i + 100)});
    elements(world, "lines", lines, then);
    print(world, "vector", bytes_of(world.allreduce(operands<double>(rank, 10), std::plus<>{})));
    print(world, "array", bytes_of(world.allreduce(std::array<double, 2>{wide, near_one}, std::plus<>{})));
}

}  // namespace

int main(int argc, char** argv) {
    return rankpool::spmd(argc, argv, digest);
}
