// The error of a wait whose other side has gone.
#pragma once

#include <rankpool/error.hpp>

namespace rankpool::comm {

class RankDeparted : public Error {
  public:
    using Error::Error;
};

}  // namespace rankpool::comm
