// expect: rankpool: submit: the function cannot be called with these arguments
#include <rankpool/rankpool.hpp>

#include <string>

void use(rankpool::ProcessPoolExecutor& executor) {
    executor.submit([](int number) { return number; }, std::string("seven"));
}
