// Preloaded into a program: whoever opens a file whose name ends with "-deadly" dies.
#include <dlfcn.h>

#include <csignal>
#include <cstdio>
#include <string_view>

extern "C" FILE* fopen64(const char* path, const char* mode) {
    if (std::string_view(path).ends_with("-deadly")) raise(SIGKILL);
    static const auto next = reinterpret_cast<FILE* (*)(const char*, const char*)>(dlsym(RTLD_NEXT, "fopen64"));
    return next(path, mode);
}

extern "C" FILE* fopen(const char* path, const char* mode) {
    if (std::string_view(path).ends_with("-deadly")) raise(SIGKILL);
    static const auto next = reinterpret_cast<FILE* (*)(const char*, const char*)>(dlsym(RTLD_NEXT, "fopen"));
    return next(path, mode);
}
