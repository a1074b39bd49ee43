!> weir: what a Fortran simulation calls to be analysed while it runs. The calls do what those of weir/client.h do.
!>
!>     type(weir_stream_f) :: s
!>     call weir_open(s, "ocean", rank, size, time_units="s")
!>     call weir_field_define(s, "t", weir_real64, shape=[nx, ny], dims="x y", units="K", start=[i0, j0], count=[mx, my])
!>     call weir_parameter_define(s, "wind", 1d0, 0d0, 3d0)
!>     do step = 1, steps
!>       call weir_step_begin(s, step, time)
!>       call weir_parameter_get(s, "wind", wind) ! what the recipe decided
!>       call weir_put(s, "t", t(1:mx, 1:my))    ! the interior of an array with halos: no copy is made to pass it
!>       call weir_step_end(s)
!>     end do
!>     call weir_close(s)
!>
!> Order of dimensions: everything is given as Fortran counts, the fastest dimension first; t(x, y) here is the field t[y][x] in
!> recipes and files. Indices (`start`) count from 1. Every call takes an optional `ierr`: 0 or a negative status (or weir_end, when
!> there is nothing to get); without it a failure is silent, as the simulation goes on in any case; weir_error(s) gives the message.
!> Trailing blanks of texts are dropped.
!>
!> Arrays are assumed-shape and not CONTIGUOUS: a section is passed as it lies in memory, found from the distances of its
!> elements; legal are all sections (steps, negative ones too, empty ones), but not vector subscripts, which make a copy.
module weir
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: real32, real64, int32, int64
  implicit none
  private

  public :: weir_stream_f, weir_open, weir_field_define, weir_piece_define, weir_step_begin, weir_put, weir_step_end, &
            weir_wanted, weir_close, weir_error, weir_parameter_define, weir_parameter_get, weir_feedback_define, &
            weir_feedback_piece_define, weir_get, weir_stream_checkpoint, weir_restart_step

  !> Types of fields: values of weir_dtype.
  integer, parameter, public :: weir_real32 = 1, weir_real64 = 2, weir_int32 = 5
  !> A value of `ierr` that is no failure: there is nothing.
  integer, parameter, public :: weir_end = 1
  !> Places on a C grid: values of weir_location.
  integer, parameter, public :: weir_at_unknown = 0, weir_at_t = 1, weir_at_u = 2, weir_at_v = 3, weir_at_f = 4

  integer, parameter :: rank_max = 6, name_max = 64

  !> One process's share of a stream.
  type :: weir_stream_f
    private
    type(c_ptr) :: handle = c_null_ptr
  end type

  ! The structures of weir/types.h and weir/client.h, member by member.
  type, bind(c) :: c_dimension
    type(c_ptr)        :: name = c_null_ptr
    integer(c_int64_t) :: size = 0
    type(c_ptr)        :: units = c_null_ptr
    real(c_double)     :: origin = 0, spacing = 0
    type(c_ptr)        :: values = c_null_ptr
    logical(c_bool)    :: periodic = .false.
  end type

  type, bind(c) :: c_field_type
    integer(c_int)    :: dtype = 0, rank = 0
    type(c_dimension) :: dim(rank_max)
    type(c_ptr)       :: units = c_null_ptr
    integer(c_int)    :: location = 0
    logical(c_bool)   :: has_fill = .false.
    real(c_double)    :: fill = 0
    type(c_ptr)       :: attributes = c_null_ptr
    integer(c_int)    :: attribute_count = 0
  end type

  type, bind(c) :: c_field_options
    type(c_field_type) :: type
    logical(c_bool)    :: is_static = .false.
    type(c_ptr)        :: start = c_null_ptr, count = c_null_ptr
  end type

  type, bind(c) :: c_stream_options
    type(c_ptr)    :: run = c_null_ptr, time_units = c_null_ptr, calendar = c_null_ptr
    real(c_double) :: attach_timeout = 0
    logical(c_bool) :: has_comm = .false.
    integer(c_int)  :: comm = 0
  end type

  type, bind(c) :: c_array ! weir_array and weir_target
    type(c_ptr)        :: data = c_null_ptr
    integer(c_int)     :: dtype = 0, rank = 0
    integer(c_int64_t) :: extent(rank_max) = 0, stride(rank_max) = 0
    integer(c_int)     :: space = 0
  end type

  interface
    integer(c_int) function c_stream_open(name, rank, size, options, stream) bind(c, name="weir_stream_open")
      import
      character(kind=c_char), intent(in)  :: name(*)
      integer(c_int), value               :: rank, size
      type(c_stream_options), intent(in)  :: options
      type(c_ptr), intent(out)            :: stream
    end function
    integer(c_int) function c_field_define(stream, name, options) bind(c, name="weir_field_define")
      import
      type(c_ptr), value                 :: stream
      character(kind=c_char), intent(in) :: name(*)
      type(c_field_options), intent(in)  :: options
    end function
    integer(c_int) function c_piece_define(stream, name, start, count, piece) bind(c, name="weir_piece_define")
      import
      type(c_ptr), value                 :: stream
      character(kind=c_char), intent(in) :: name(*)
      integer(c_int64_t), intent(in)     :: start(*), count(*)
      integer(c_int), intent(out)        :: piece
    end function
    integer(c_int) function c_step_begin(stream, step, time) bind(c, name="weir_step_begin")
      import
      type(c_ptr), value        :: stream
      integer(c_int64_t), value :: step
      real(c_double), value     :: time
    end function
    integer(c_int) function c_put(stream, name, array) bind(c, name="weir_put")
      import
      type(c_ptr), value                 :: stream
      character(kind=c_char), intent(in) :: name(*)
      type(c_array), intent(in)          :: array
    end function
    integer(c_int) function c_put_piece(stream, name, piece, array) bind(c, name="weir_put_piece")
      import
      type(c_ptr), value                 :: stream
      character(kind=c_char), intent(in) :: name(*)
      integer(c_int), value              :: piece
      type(c_array), intent(in)          :: array
    end function
    integer(c_int) function c_parameter_define(stream, name, value, least, most) bind(c, name="weir_parameter_define")
      import
      type(c_ptr), value                 :: stream
      character(kind=c_char), intent(in) :: name(*)
      real(c_double), value              :: value, least, most
    end function
    integer(c_int) function c_parameter_get(stream, name, value) bind(c, name="weir_parameter_get")
      import
      type(c_ptr), value                 :: stream
      character(kind=c_char), intent(in) :: name(*)
      real(c_double), intent(inout)      :: value
    end function
    integer(c_int) function c_feedback_define(stream, name, options) bind(c, name="weir_feedback_define")
      import
      type(c_ptr), value                 :: stream
      character(kind=c_char), intent(in) :: name(*)
      type(c_field_options), intent(in)  :: options
    end function
    integer(c_int) function c_feedback_piece_define(stream, name, start, count, piece) &
      bind(c, name="weir_feedback_piece_define")
      import
      type(c_ptr), value                 :: stream
      character(kind=c_char), intent(in) :: name(*)
      integer(c_int64_t), intent(in)     :: start(*), count(*)
      integer(c_int), intent(out)        :: piece
    end function
    integer(c_int) function c_get(stream, name, target) bind(c, name="weir_get")
      import
      type(c_ptr), value                 :: stream
      character(kind=c_char), intent(in) :: name(*)
      type(c_array), intent(in)          :: target
    end function
    integer(c_int) function c_get_piece(stream, name, piece, target) bind(c, name="weir_get_piece")
      import
      type(c_ptr), value                 :: stream
      character(kind=c_char), intent(in) :: name(*)
      integer(c_int), value              :: piece
      type(c_array), intent(in)          :: target
    end function
    logical(c_bool) function c_wanted(stream, name) bind(c, name="weir_wanted")
      import
      type(c_ptr), value                 :: stream
      character(kind=c_char), intent(in) :: name(*)
    end function
    integer(c_int) function c_step_end(stream) bind(c, name="weir_step_end")
      import
      type(c_ptr), value :: stream
    end function
    integer(c_int) function c_stream_checkpoint(stream, step) bind(c, name="weir_stream_checkpoint")
      import
      type(c_ptr), value      :: stream
      integer(int64), value   :: step
    end function
    logical(c_bool) function c_restart_step(step) bind(c, name="weir_restart_step")
      import
      integer(int64), intent(inout) :: step
    end function
    integer(c_int) function c_stream_close(stream) bind(c, name="weir_stream_close")
      import
      type(c_ptr), intent(inout) :: stream
    end function
    type(c_ptr) function c_stream_error(stream) bind(c, name="weir_stream_error")
      import
      type(c_ptr), value :: stream
    end function
    integer(c_size_t) function c_strlen(text) bind(c, name="strlen")
      import
      type(c_ptr), value :: text
    end function
  end interface

  interface weir_stream_checkpoint
    module procedure stream_checkpoint_int32, stream_checkpoint_int64
  end interface

  interface weir_restart_step
    module procedure restart_step_int32, restart_step_int64
  end interface

  !> Begin a step; its number is a default or an int64 integer.
  interface weir_step_begin
    module procedure step_begin_int32, step_begin_int64
  end interface

  !> call weir_put(s, name, array [, piece] [, ierr]): real32, real64 and int32 arrays of rank 0 to 5. `piece` (from 1) says
  !> which of several pieces this is, as weir_piece_define numbered them.
  interface weir_put
    module procedure put_real32_0, put_real32_1, put_real32_2, put_real32_3, put_real32_4, put_real32_5
    module procedure put_real64_0, put_real64_1, put_real64_2, put_real64_3, put_real64_4, put_real64_5
    module procedure put_int32_0, put_int32_1, put_int32_2, put_int32_3, put_int32_4, put_int32_5
  end interface

  !> call weir_get(s, name, array [, piece] [, ierr]): the same kinds of arrays, filled with what was computed for this step of a
  !> feedback field. `ierr` is 0 when it was, weir_end when there is no value (the array is untouched), negative on failure.
  interface weir_get
    module procedure get_real32_0, get_real32_1, get_real32_2, get_real32_3, get_real32_4, get_real32_5
    module procedure get_real64_0, get_real64_1, get_real64_2, get_real64_3, get_real64_4, get_real64_5
    module procedure get_int32_0, get_int32_1, get_int32_2, get_int32_3, get_int32_4, get_int32_5
  end interface

contains

  !> Open a stream as process `rank` (from 0) of `size`. `run`: the run directory, instead of the environment variable WEIR_RUN;
  !> `attach_timeout`: seconds that the first step waits for workers. `comm`: the communicator of these processes (its
  !> integer handle), which a run with placement inline needs when they are several.
  subroutine weir_open(stream, name, rank, size, run, time_units, calendar, attach_timeout, comm, ierr)
    type(weir_stream_f), intent(out)       :: stream
    character(len=*), intent(in)           :: name
    integer, intent(in)                    :: rank, size
    character(len=*), intent(in), optional :: run, time_units, calendar
    real(real64), intent(in), optional     :: attach_timeout
    integer, intent(in), optional          :: comm
    integer, intent(out), optional         :: ierr
    character(kind=c_char), allocatable, target :: run_c(:), units_c(:), calendar_c(:)
    type(c_stream_options) :: options
    integer                :: status
    call set_text(run, run_c, options%run)
    call set_text(time_units, units_c, options%time_units)
    call set_text(calendar, calendar_c, options%calendar)
    if (present(attach_timeout)) options%attach_timeout = attach_timeout
    if (present(comm)) then
      options%has_comm = .true.
      options%comm     = int(comm, c_int)
    end if
    status = c_stream_open(to_c(name), int(rank, c_int), int(size, c_int), options, stream%handle)
    if (present(ierr)) ierr = status
  end subroutine

  !> Define a field before the first step.
  !>   dtype             weir_real32, weir_real64 or weir_int32
  !>   shape             global extents, fastest first; absent: a scalar
  !>   dims              names of the dimensions, fastest first, apart by blanks or commas ("x y"); absent: x y z d4 d5
  !>   units, location   units text; weir_at_t, weir_at_u, weir_at_v or weir_at_f
  !>   origin, spacing   of a uniform coordinate on each dimension; dim_units: their units, "-" for none
  !>   periodic          for each dimension
  !>   start, count      the piece this process holds: first global index (from 1) and extents (0: an empty piece)
  !>   fill              stands for a missing value
  !>   static            put once only, before the end of the first step
  subroutine weir_field_define(stream, name, dtype, shape, dims, units, location, origin, spacing, dim_units, periodic, start, &
                               count, fill, static, ierr)
    type(weir_stream_f), intent(in)        :: stream
    character(len=*), intent(in)           :: name
    integer, intent(in)                    :: dtype
    integer, intent(in), optional          :: shape(:), location, start(:), count(:)
    character(len=*), intent(in), optional :: dims, units, dim_units
    real(real64), intent(in), optional     :: origin(:), spacing(:), fill
    logical, intent(in), optional          :: periodic(:), static
    integer, intent(out), optional         :: ierr
    call define(stream, name, .false., dtype, shape, dims, units, location, origin, spacing, dim_units, periodic, start, count, &
                fill, static, ierr)
  end subroutine

  !> Define a field that the analysis computes for this process, as the increments of a data assimilation, before the first step;
  !> the arguments are those of weir_field_define. weir_get fetches it in each step.
  subroutine weir_feedback_define(stream, name, dtype, shape, dims, units, location, origin, spacing, dim_units, periodic, &
                                  start, count, fill, ierr)
    type(weir_stream_f), intent(in)        :: stream
    character(len=*), intent(in)           :: name
    integer, intent(in)                    :: dtype
    integer, intent(in), optional          :: shape(:), location, start(:), count(:)
    character(len=*), intent(in), optional :: dims, units, dim_units
    real(real64), intent(in), optional     :: origin(:), spacing(:), fill
    logical, intent(in), optional          :: periodic(:)
    integer, intent(out), optional         :: ierr
    call define(stream, name, .true., dtype, shape, dims, units, location, origin, spacing, dim_units, periodic, start, count, &
                fill, .false., ierr)
  end subroutine

  subroutine define(stream, name, feedback, dtype, shape, dims, units, location, origin, spacing, dim_units, periodic, start, &
                    count, fill, static, ierr)
    type(weir_stream_f), intent(in)        :: stream
    character(len=*), intent(in)           :: name
    logical, intent(in)                    :: feedback
    integer, intent(in)                    :: dtype
    integer, intent(in), optional          :: shape(:), location, start(:), count(:)
    character(len=*), intent(in), optional :: dims, units, dim_units
    real(real64), intent(in), optional     :: origin(:), spacing(:), fill
    logical, intent(in), optional          :: periodic(:), static
    integer, intent(out), optional         :: ierr
    type(c_field_options)  :: options
    character(kind=c_char), allocatable, target :: units_c(:)
    character(kind=c_char), target :: names_c(name_max, rank_max), dim_units_c(name_max, rank_max)
    integer(c_int64_t), target     :: start_c(rank_max), count_c(rank_max)
    integer :: status, rank, a, c
    rank = 0
    if (present(shape)) rank = size(shape)
    options%type%dtype = int(dtype, c_int)
    options%type%rank  = int(rank, c_int)
    if (present(location)) options%type%location = int(location, c_int)
    if (present(static)) options%is_static = static
    if (present(fill)) then
      options%type%has_fill = .true.
      options%type%fill     = fill
    end if
    call set_text(units, units_c, options%type%units)
    do a = 1, min(rank, rank_max)
      c = rank - a + 1 ! slowest first in C
      options%type%dim(c)%size = shape(a)
      if (present(dims)) then
        call set_word(dims, a, names_c(:, a))
      else
        call set_word("x y z d4 d5 d6", a, names_c(:, a))
      end if
      options%type%dim(c)%name = c_loc(names_c(1, a))
      if (present(dim_units)) then
        call set_word(dim_units, a, dim_units_c(:, a))
        if (dim_units_c(1, a) /= "-" .and. dim_units_c(1, a) /= c_null_char) &
          options%type%dim(c)%units = c_loc(dim_units_c(1, a))
      end if
      if (present(origin)) then
        if (a <= size(origin)) options%type%dim(c)%origin = origin(a)
      end if
      if (present(spacing)) then
        if (a <= size(spacing)) options%type%dim(c)%spacing = spacing(a)
      end if
      if (present(periodic)) then
        if (a <= size(periodic)) options%type%dim(c)%periodic = periodic(a)
      end if
    end do
    if (present(start)) then
      call set_box(start, rank, -1, start_c)
      options%start = c_loc(start_c)
    end if
    if (present(count)) then
      call set_box(count, rank, 0, count_c)
      options%count = c_loc(count_c)
    end if
    if (feedback) then
      status = c_feedback_define(stream%handle, to_c(name), options)
    else
      status = c_field_define(stream%handle, to_c(name), options)
    end if
    if (present(ierr)) ierr = status
  end subroutine

  !> Define a(nother) piece of a field; `piece` is its number, from 1.
  subroutine weir_piece_define(stream, name, start, count, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    integer, intent(in)             :: start(:), count(:)
    integer, intent(out), optional  :: piece, ierr
    integer(c_int64_t) :: start_c(rank_max), count_c(rank_max)
    integer(c_int)     :: number
    integer            :: status
    number = -1
    call set_box(start, size(start), -1, start_c)
    call set_box(count, size(count), 0, count_c)
    status = c_piece_define(stream%handle, to_c(name), start_c, count_c, number)
    if (present(piece)) piece = number + 1
    if (present(ierr)) ierr = status
  end subroutine

  !> Define a(nother) piece of a feedback field; `piece` is its number, from 1.
  subroutine weir_feedback_piece_define(stream, name, start, count, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    integer, intent(in)             :: start(:), count(:)
    integer, intent(out), optional  :: piece, ierr
    integer(c_int64_t) :: start_c(rank_max), count_c(rank_max)
    integer(c_int)     :: number
    integer            :: status
    number = -1
    call set_box(start, size(start), -1, start_c)
    call set_box(count, size(count), 0, count_c)
    status = c_feedback_piece_define(stream%handle, to_c(name), start_c, count_c, number)
    if (present(piece)) piece = number + 1
    if (present(ierr)) ierr = status
  end subroutine

  !> Define a parameter that the recipe may change between `least` and `most`, before the first step, alike on all processes.
  subroutine weir_parameter_define(stream, name, value, least, most, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real64), intent(in)        :: value, least, most
    integer, intent(out), optional  :: ierr
    integer :: status
    status = c_parameter_define(stream%handle, to_c(name), value, least, most)
    if (present(ierr)) ierr = status
  end subroutine

  !> The value of a parameter in this step; untouched on failure, and when the stream was never opened (`ierr` is weir_end).
  subroutine weir_parameter_get(stream, name, value, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real64), intent(inout)     :: value
    integer, intent(out), optional  :: ierr
    integer :: status
    status = c_parameter_get(stream%handle, to_c(name), value)
    if (present(ierr)) ierr = status
  end subroutine

  subroutine step_begin_int32(stream, step, time, ierr)
    type(weir_stream_f), intent(in) :: stream
    integer(int32), intent(in)      :: step
    real(real64), intent(in)        :: time
    integer, intent(out), optional  :: ierr
    call step_begin_int64(stream, int(step, int64), time, ierr)
  end subroutine

  subroutine step_begin_int64(stream, step, time, ierr)
    type(weir_stream_f), intent(in) :: stream
    integer(int64), intent(in)      :: step
    real(real64), intent(in)        :: time
    integer, intent(out), optional  :: ierr
    integer :: status
    status = c_step_begin(stream%handle, step, time)
    if (present(ierr)) ierr = status
  end subroutine

  !> Is the field asked for in this step?
  logical function weir_wanted(stream, name)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    weir_wanted = c_wanted(stream%handle, to_c(name))
  end function

  subroutine weir_step_end(stream, ierr)
    type(weir_stream_f), intent(in) :: stream
    integer, intent(out), optional  :: ierr
    integer :: status
    status = c_step_end(stream%handle)
    if (present(ierr)) ierr = status
  end subroutine

  !> All processes have written a file from which the simulation can go on after `step`; between two steps.
  subroutine stream_checkpoint_int32(stream, step, ierr)
    type(weir_stream_f), intent(in) :: stream
    integer(int32), intent(in)      :: step
    integer, intent(out), optional  :: ierr
    call stream_checkpoint_int64(stream, int(step, int64), ierr)
  end subroutine

  subroutine stream_checkpoint_int64(stream, step, ierr)
    type(weir_stream_f), intent(in) :: stream
    integer(int64), intent(in)      :: step
    integer, intent(out), optional  :: ierr
    integer :: status
    status = c_stream_checkpoint(stream%handle, step)
    if (present(ierr)) ierr = status
  end subroutine

  !> Is the simulation to go on from the file of `step`? Else `step` is left as it is.
  logical function restart_step_int32(step)
    integer(int32), intent(inout) :: step
    integer(int64) :: found
    found = step
    restart_step_int32 = c_restart_step(found)
    step = int(found, int32)
  end function

  logical function restart_step_int64(step)
    integer(int64), intent(inout) :: step
    restart_step_int64 = c_restart_step(step)
  end function

  subroutine weir_close(stream, ierr)
    type(weir_stream_f), intent(inout) :: stream
    integer, intent(out), optional     :: ierr
    integer :: status
    status = c_stream_close(stream%handle)
    if (present(ierr)) ierr = status
  end subroutine

  !> The message of the last failure on this stream; empty if there was none.
  function weir_error(stream) result(text)
    type(weir_stream_f), intent(in) :: stream
    character(len=:), allocatable   :: text
    character(kind=c_char), pointer :: characters(:)
    type(c_ptr) :: p
    integer     :: i, length
    p      = c_stream_error(stream%handle)
    length = int(c_strlen(p))
    call c_f_pointer(p, characters, [length])
    allocate (character(len=length) :: text)
    do i = 1, length
      text(i:i) = characters(i)
    end do
  end function

  ! ---- putting: where an array starts, and how far apart its elements are ----

  subroutine put_real32_0(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real32), intent(in), target :: x
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    integer     :: none(0)
    type(c_ptr) :: next(0)
    call put_array(stream, name, weir_real32, c_loc(x), none, next, piece, ierr)
  end subroutine

  subroutine put_real32_1(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real32), intent(in), target :: x(:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(1)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2))
    end if
    call put_array(stream, name, weir_real32, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine put_real32_2(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real32), intent(in), target :: x(:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(2)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2))
    end if
    call put_array(stream, name, weir_real32, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine put_real32_3(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real32), intent(in), target :: x(:,:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(3)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2,1))
      if (size(x, 3) > 1) next(3) = c_loc(x(1,1,2))
    end if
    call put_array(stream, name, weir_real32, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine put_real32_4(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real32), intent(in), target :: x(:,:,:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(4)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1,1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1,1,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2,1,1))
      if (size(x, 3) > 1) next(3) = c_loc(x(1,1,2,1))
      if (size(x, 4) > 1) next(4) = c_loc(x(1,1,1,2))
    end if
    call put_array(stream, name, weir_real32, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine put_real32_5(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real32), intent(in), target :: x(:,:,:,:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(5)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1,1,1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1,1,1,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2,1,1,1))
      if (size(x, 3) > 1) next(3) = c_loc(x(1,1,2,1,1))
      if (size(x, 4) > 1) next(4) = c_loc(x(1,1,1,2,1))
      if (size(x, 5) > 1) next(5) = c_loc(x(1,1,1,1,2))
    end if
    call put_array(stream, name, weir_real32, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine put_real64_0(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real64), intent(in), target :: x
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    integer     :: none(0)
    type(c_ptr) :: next(0)
    call put_array(stream, name, weir_real64, c_loc(x), none, next, piece, ierr)
  end subroutine

  subroutine put_real64_1(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real64), intent(in), target :: x(:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(1)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2))
    end if
    call put_array(stream, name, weir_real64, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine put_real64_2(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real64), intent(in), target :: x(:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(2)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2))
    end if
    call put_array(stream, name, weir_real64, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine put_real64_3(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real64), intent(in), target :: x(:,:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(3)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2,1))
      if (size(x, 3) > 1) next(3) = c_loc(x(1,1,2))
    end if
    call put_array(stream, name, weir_real64, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine put_real64_4(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real64), intent(in), target :: x(:,:,:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(4)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1,1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1,1,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2,1,1))
      if (size(x, 3) > 1) next(3) = c_loc(x(1,1,2,1))
      if (size(x, 4) > 1) next(4) = c_loc(x(1,1,1,2))
    end if
    call put_array(stream, name, weir_real64, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine put_real64_5(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real64), intent(in), target :: x(:,:,:,:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(5)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1,1,1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1,1,1,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2,1,1,1))
      if (size(x, 3) > 1) next(3) = c_loc(x(1,1,2,1,1))
      if (size(x, 4) > 1) next(4) = c_loc(x(1,1,1,2,1))
      if (size(x, 5) > 1) next(5) = c_loc(x(1,1,1,1,2))
    end if
    call put_array(stream, name, weir_real64, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine put_int32_0(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    integer(int32), intent(in), target :: x
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    integer     :: none(0)
    type(c_ptr) :: next(0)
    call put_array(stream, name, weir_int32, c_loc(x), none, next, piece, ierr)
  end subroutine

  subroutine put_int32_1(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    integer(int32), intent(in), target :: x(:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(1)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2))
    end if
    call put_array(stream, name, weir_int32, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine put_int32_2(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    integer(int32), intent(in), target :: x(:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(2)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2))
    end if
    call put_array(stream, name, weir_int32, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine put_int32_3(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    integer(int32), intent(in), target :: x(:,:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(3)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2,1))
      if (size(x, 3) > 1) next(3) = c_loc(x(1,1,2))
    end if
    call put_array(stream, name, weir_int32, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine put_int32_4(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    integer(int32), intent(in), target :: x(:,:,:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(4)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1,1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1,1,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2,1,1))
      if (size(x, 3) > 1) next(3) = c_loc(x(1,1,2,1))
      if (size(x, 4) > 1) next(4) = c_loc(x(1,1,1,2))
    end if
    call put_array(stream, name, weir_int32, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine put_int32_5(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    integer(int32), intent(in), target :: x(:,:,:,:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(5)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1,1,1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1,1,1,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2,1,1,1))
      if (size(x, 3) > 1) next(3) = c_loc(x(1,1,2,1,1))
      if (size(x, 4) > 1) next(4) = c_loc(x(1,1,1,2,1))
      if (size(x, 5) > 1) next(5) = c_loc(x(1,1,1,1,2))
    end if
    call put_array(stream, name, weir_int32, first, shape(x), next, piece, ierr)
  end subroutine

  !> `next(a)` is the address of the second element along dimension a; null where there is none.
  subroutine put_array(stream, name, dtype, first, extents, next, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    integer, intent(in)             :: dtype, extents(:)
    type(c_ptr), intent(in)         :: first, next(:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    integer :: status
    if (present(piece)) then
      status = c_put_piece(stream%handle, to_c(name), int(piece - 1, c_int), describe(dtype, first, extents, next))
    else
      status = c_put(stream%handle, to_c(name), describe(dtype, first, extents, next))
    end if
    if (present(ierr)) ierr = status
  end subroutine

  pure function describe(dtype, first, extents, next) result(array)
    integer, intent(in)     :: dtype, extents(:)
    type(c_ptr), intent(in) :: first, next(:)
    type(c_array)       :: array
    integer(c_intptr_t) :: here, there
    integer             :: a, c, rank, bytes
    rank  = size(extents)
    bytes = merge(8, 4, dtype == weir_real64)
    array%data  = first
    array%dtype = int(dtype, c_int)
    array%rank  = int(rank, c_int)
    here        = transfer(first, here)
    do a = 1, rank
      c = rank - a + 1
      array%extent(c) = extents(a)
      array%stride(c) = 1 ! of a dimension with one element: any, but not the 0 that stands for "dense"
      if (transfer(next(a), there) == 0) cycle
      there = transfer(next(a), there)
      array%stride(c) = (there - here) / bytes
    end do
  end function

  ! ---- getting: the same of an array that is filled ----

  subroutine get_real32_0(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real32), intent(inout), target :: x
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    integer     :: none(0)
    type(c_ptr) :: next(0)
    call get_array(stream, name, weir_real32, c_loc(x), none, next, piece, ierr)
  end subroutine

  subroutine get_real32_1(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real32), intent(inout), target :: x(:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(1)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2))
    end if
    call get_array(stream, name, weir_real32, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine get_real32_2(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real32), intent(inout), target :: x(:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(2)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2))
    end if
    call get_array(stream, name, weir_real32, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine get_real32_3(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real32), intent(inout), target :: x(:,:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(3)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2,1))
      if (size(x, 3) > 1) next(3) = c_loc(x(1,1,2))
    end if
    call get_array(stream, name, weir_real32, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine get_real32_4(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real32), intent(inout), target :: x(:,:,:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(4)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1,1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1,1,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2,1,1))
      if (size(x, 3) > 1) next(3) = c_loc(x(1,1,2,1))
      if (size(x, 4) > 1) next(4) = c_loc(x(1,1,1,2))
    end if
    call get_array(stream, name, weir_real32, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine get_real32_5(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real32), intent(inout), target :: x(:,:,:,:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(5)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1,1,1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1,1,1,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2,1,1,1))
      if (size(x, 3) > 1) next(3) = c_loc(x(1,1,2,1,1))
      if (size(x, 4) > 1) next(4) = c_loc(x(1,1,1,2,1))
      if (size(x, 5) > 1) next(5) = c_loc(x(1,1,1,1,2))
    end if
    call get_array(stream, name, weir_real32, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine get_real64_0(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real64), intent(inout), target :: x
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    integer     :: none(0)
    type(c_ptr) :: next(0)
    call get_array(stream, name, weir_real64, c_loc(x), none, next, piece, ierr)
  end subroutine

  subroutine get_real64_1(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real64), intent(inout), target :: x(:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(1)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2))
    end if
    call get_array(stream, name, weir_real64, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine get_real64_2(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real64), intent(inout), target :: x(:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(2)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2))
    end if
    call get_array(stream, name, weir_real64, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine get_real64_3(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real64), intent(inout), target :: x(:,:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(3)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2,1))
      if (size(x, 3) > 1) next(3) = c_loc(x(1,1,2))
    end if
    call get_array(stream, name, weir_real64, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine get_real64_4(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real64), intent(inout), target :: x(:,:,:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(4)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1,1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1,1,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2,1,1))
      if (size(x, 3) > 1) next(3) = c_loc(x(1,1,2,1))
      if (size(x, 4) > 1) next(4) = c_loc(x(1,1,1,2))
    end if
    call get_array(stream, name, weir_real64, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine get_real64_5(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    real(real64), intent(inout), target :: x(:,:,:,:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(5)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1,1,1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1,1,1,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2,1,1,1))
      if (size(x, 3) > 1) next(3) = c_loc(x(1,1,2,1,1))
      if (size(x, 4) > 1) next(4) = c_loc(x(1,1,1,2,1))
      if (size(x, 5) > 1) next(5) = c_loc(x(1,1,1,1,2))
    end if
    call get_array(stream, name, weir_real64, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine get_int32_0(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    integer(int32), intent(inout), target :: x
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    integer     :: none(0)
    type(c_ptr) :: next(0)
    call get_array(stream, name, weir_int32, c_loc(x), none, next, piece, ierr)
  end subroutine

  subroutine get_int32_1(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    integer(int32), intent(inout), target :: x(:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(1)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2))
    end if
    call get_array(stream, name, weir_int32, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine get_int32_2(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    integer(int32), intent(inout), target :: x(:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(2)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2))
    end if
    call get_array(stream, name, weir_int32, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine get_int32_3(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    integer(int32), intent(inout), target :: x(:,:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(3)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2,1))
      if (size(x, 3) > 1) next(3) = c_loc(x(1,1,2))
    end if
    call get_array(stream, name, weir_int32, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine get_int32_4(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    integer(int32), intent(inout), target :: x(:,:,:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(4)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1,1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1,1,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2,1,1))
      if (size(x, 3) > 1) next(3) = c_loc(x(1,1,2,1))
      if (size(x, 4) > 1) next(4) = c_loc(x(1,1,1,2))
    end if
    call get_array(stream, name, weir_int32, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine get_int32_5(stream, name, x, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    integer(int32), intent(inout), target :: x(:,:,:,:,:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    type(c_ptr) :: first, next(5)
    first = c_null_ptr
    next  = c_null_ptr
    if (size(x) > 0) then
      first = c_loc(x(1,1,1,1,1))
      if (size(x, 1) > 1) next(1) = c_loc(x(2,1,1,1,1))
      if (size(x, 2) > 1) next(2) = c_loc(x(1,2,1,1,1))
      if (size(x, 3) > 1) next(3) = c_loc(x(1,1,2,1,1))
      if (size(x, 4) > 1) next(4) = c_loc(x(1,1,1,2,1))
      if (size(x, 5) > 1) next(5) = c_loc(x(1,1,1,1,2))
    end if
    call get_array(stream, name, weir_int32, first, shape(x), next, piece, ierr)
  end subroutine

  subroutine get_array(stream, name, dtype, first, extents, next, piece, ierr)
    type(weir_stream_f), intent(in) :: stream
    character(len=*), intent(in)    :: name
    integer, intent(in)             :: dtype, extents(:)
    type(c_ptr), intent(in)         :: first, next(:)
    integer, intent(in), optional   :: piece
    integer, intent(out), optional  :: ierr
    integer :: status
    if (present(piece)) then
      status = c_get_piece(stream%handle, to_c(name), int(piece - 1, c_int), describe(dtype, first, extents, next))
    else
      status = c_get(stream%handle, to_c(name), describe(dtype, first, extents, next))
    end if
    if (present(ierr)) ierr = status
  end subroutine

  ! ---- texts and boxes ----

  !> The text without trailing blanks, ended as C does.
  pure function to_c(text) result(c)
    character(len=*), intent(in) :: text
    character(kind=c_char)       :: c(len_trim(text) + 1)
    integer :: i
    do i = 1, len_trim(text)
      c(i) = text(i:i)
    end do
    c(len_trim(text) + 1) = c_null_char
  end function

  subroutine set_text(text, storage, p)
    character(len=*), intent(in), optional                   :: text
    character(kind=c_char), allocatable, target, intent(out) :: storage(:)
    type(c_ptr), intent(inout)                               :: p
    if (.not. present(text)) return
    storage = to_c(text)
    p = c_loc(storage)
  end subroutine

  !> Word number `n` of `text`, ended as C does; cut to fit; empty when there are fewer.
  pure subroutine set_word(text, n, word)
    character(len=*), intent(in)        :: text
    integer, intent(in)                 :: n
    character(kind=c_char), intent(out) :: word(:)
    integer :: i, seen, length
    logical :: inside
    word   = c_null_char
    seen   = 0
    length = 0
    inside = .false.
    do i = 1, len_trim(text)
      if (text(i:i) == " " .or. text(i:i) == ",") then
        inside = .false.
        cycle
      end if
      if (.not. inside) seen = seen + 1
      inside = .true.
      if (seen == n .and. length < size(word) - 1) then
        length = length + 1
        word(length) = text(i:i)
      end if
    end do
  end subroutine

  !> A list in C's order, slowest first; what is missing is -1, which no piece has.
  pure subroutine set_box(list, rank, shift, box)
    integer, intent(in)             :: list(:), rank, shift
    integer(c_int64_t), intent(out) :: box(rank_max)
    integer :: a
    box = -1
    do a = 1, min(rank, size(list), rank_max)
      box(rank - a + 1) = list(a) + shift
    end do
  end subroutine
end module weir
