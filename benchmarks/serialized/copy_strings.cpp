#include "serialized/copy.hpp"
#include "serialized/work.hpp"

int main(int argc, char** argv) { bench::copy_items(argc, argv, bench::make_strings); }
