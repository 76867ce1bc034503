// expect: rankpool: the target of a Process cannot be called with these arguments
#include <rankpool/rankpool.hpp>

#include <string>

void use() {
    rankpool::Process process([](int number) { return number; }, std::string("seven"));
}
