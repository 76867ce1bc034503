// expect: rankpool: this type cannot travel to another process: it is or contains a pointer, reference, string_view, span or other view
#include <rankpool/rankpool.hpp>

#include <cstdio>

void use() {
    rankpool::Process process([](const char* word) { std::puts(word); }, "word");
}
