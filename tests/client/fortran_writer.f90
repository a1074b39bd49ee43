! What test_fortran.sh runs: writes every kind of section through the Fortran module; fortran_reader.c checks what arrives.
program fortran_writer
  use weir
  use, intrinsic :: iso_fortran_env, only: real32, real64, int32, int64
  use, intrinsic :: iso_c_binding, only: c_char, c_int, c_null_char
  implicit none
  integer, parameter  :: nx = 7, ny = 5, nz = 3
  type(weir_stream_f) :: s
  real(real64) :: t(0:nx + 1, 0:ny + 1)
  real(real32) :: a(2 * nx, ny, nz)
  integer(int32) :: k(nx), b(2, 2, 2, 2, 3)
  real(real64) :: dt(0:nx + 1, 0:ny + 1), wind, gain
  real(real32) :: da(2 * nx, ny, nz), q
  integer(int32) :: db(2, 2, 2, 2, 3)
  integer :: ierr, step, i, j, l, piece

  interface
    integer(c_int) function setenv(name, value, replace) bind(c)
      import :: c_char, c_int
      character(kind=c_char), intent(in) :: name(*), value(*)
      integer(c_int), value              :: replace
    end function
  end interface

  call check_restart()
  call weir_open(s, "sim", 0, 1, time_units="s", attach_timeout=20d0, ierr=ierr)
  call check(ierr == 0, "open")
  call weir_field_define(s, "t", weir_real64, shape=[nx, ny], dims="x y", units="K", origin=[1d0, 2d0], spacing=[0.5d0, 0.25d0], &
                         dim_units="m -", periodic=[.true., .false.], location=weir_at_u, fill=-1d0, start=[1, 1], &
                         count=[nx, ny], ierr=ierr)
  call check(ierr == 0, "define t")
  call weir_field_define(s, "a", weir_real32, shape=[nx, ny, nz], ierr=ierr)
  call check(ierr == 0, "define a")
  call weir_piece_define(s, "a", [1, 1, 1], [nx, 2, nz], piece=piece, ierr=ierr)
  call check(ierr == 0 .and. piece == 1, "piece 1 of a")
  call weir_piece_define(s, "a", [1, 3, 1], [nx, 3, nz], piece=piece, ierr=ierr)
  call check(ierr == 0 .and. piece == 2, "piece 2 of a")
  call weir_field_define(s, "k", weir_int32, shape=[nx], static=.true., start=[1], count=[nx], ierr=ierr)
  call check(ierr == 0, "define k")
  call weir_field_define(s, "b", weir_int32, shape=[2, 2, 2, 2, 3], dims="p,q,r,s,t", start=[1, 1, 1, 1, 1], &
                         count=[2, 2, 2, 2, 3], ierr=ierr)
  call check(ierr == 0, "define b")
  call weir_field_define(s, "e", weir_real64, shape=[nx, ny], start=[3, 1], count=[0, ny], ierr=ierr)
  call check(ierr == 0, "define e")
  call weir_field_define(s, "dt", weir_real64, ierr=ierr)
  call check(ierr == 0, "define dt")
  call weir_parameter_define(s, "wind", 1.25d0, 0d0, 1d6, ierr)
  call check(ierr == 0, "define wind")
  call weir_parameter_define(s, "gain", 2d0, 3d0, 4d0, ierr)
  call check(ierr < 0 .and. index(weir_error(s), "expected a number from 3 to 4") > 0, "define gain")
  call weir_feedback_define(s, "dt", weir_real64, shape=[nx, ny], dims="x y", units="K", start=[1, 1], count=[nx, ny], ierr=ierr)
  call check(ierr == 0, "define feedback dt")
  call weir_feedback_define(s, "da", weir_real32, shape=[nx, ny, nz], ierr=ierr)
  call check(ierr == 0, "define feedback da")
  call weir_feedback_piece_define(s, "da", [1, 1, 1], [nx, 2, nz], piece=piece, ierr=ierr)
  call check(ierr == 0 .and. piece == 1, "piece 1 of da")
  call weir_feedback_piece_define(s, "da", [1, 3, 1], [nx, 3, nz], piece=piece, ierr=ierr)
  call check(ierr == 0 .and. piece == 2, "piece 2 of da")
  call weir_feedback_define(s, "db", weir_int32, shape=[2, 2, 2, 2, 3], dims="p,q,r,s,t", ierr=ierr)
  call check(ierr == 0, "define feedback db")
  call weir_feedback_define(s, "q", weir_real32, ierr=ierr)
  call check(ierr == 0, "define feedback q")
  call weir_field_define(s, "t", weir_real64, ierr=ierr)
  call check(ierr < 0 .and. index(weir_error(s), "defined already") > 0, "t twice")

  k = [(i * i, i=1, nx)]
  call weir_put(s, "k", k(nx:1:-1), ierr=ierr) ! backwards
  call check(ierr == 0, "put k")
  do step = 1, 20
    t = -99
    a = -99
    do j = 1, ny
      do i = 1, nx
        t(i, j) = 1000 * step + 10 * j + i
        do l = 1, nz
          a(2 * i - 1, j, l) = real(1000 * step + 100 * l + 10 * j + i, real32)
        end do
      end do
    end do
    b = reshape([(step + i, i=1, 48)], shape(b))
    call weir_step_begin(s, step, 0.5d0 * step, ierr)
    call check(ierr == 0, "begin: "//weir_error(s))
    call check(weir_wanted(s, "t"), "wanted")
    call check_back(step)
    call weir_put(s, "t", t(1:nx, 1:ny), ierr=ierr) ! without its halo
    call check(ierr == 0, "put t: "//weir_error(s))
    call weir_put(s, "a", a(1::2, 1:2, :), 1, ierr)
    call check(ierr == 0, "put a 1: "//weir_error(s))
    call weir_put(s, "a", a(1::2, 3:, :), 2, ierr)
    call check(ierr == 0, "put a 2: "//weir_error(s))
    call weir_put(s, "b", b, ierr=ierr)
    call check(ierr == 0, "put b: "//weir_error(s))
    call weir_put(s, "e", t(3:2, 1:ny), ierr=ierr) ! empty
    call check(ierr == 0, "put e: "//weir_error(s))
    call weir_put(s, "dt", 0.125d0, ierr=ierr)
    call check(ierr == 0, "put dt: "//weir_error(s))
    if (step == 3) then
      call weir_put(s, "t", t, ierr=ierr)
      call check(ierr < 0, "twice")
    end if
    call weir_step_end(s, ierr)
    call check(ierr == 0, "end: "//weir_error(s))
    if (step == 5) call weir_stream_checkpoint(s, step, ierr)
    call check(ierr == 0, "checkpoint: "//weir_error(s))
    if (step == 11) call weir_stream_checkpoint(s, 12_int64, ierr)
    call check(ierr == 0, "checkpoint: "//weir_error(s))
    if (step == 15) then
      call weir_stream_checkpoint(s, 14, ierr)
      call check(ierr < 0 .and. index(weir_error(s), "after step 14 was marked after step 15") > 0, "checkpoint of the past")
    end if
  end do
  call weir_close(s, ierr)
  call check(ierr == 0, "close")

contains

  !> Where to go on: nowhere, from a file, and nowhere again.
  subroutine check_restart()
    integer(int64) :: long
    integer        :: short
    short = 7
    long  = 8
    call check(.not. weir_restart_step(short) .and. short == 7, "restart without a step")
    call check(.not. weir_restart_step(long) .and. long == 8, "restart without a step, int64")
    call check(setenv("WEIR_RESTART_STEP"//c_null_char, "5000000000"//c_null_char, 1_c_int) == 0, "setenv")
    call check(weir_restart_step(long) .and. long == 5000000000_int64, "restart, int64")
    call check(setenv("WEIR_RESTART_STEP"//c_null_char, "123"//c_null_char, 1_c_int) == 0, "setenv")
    call check(weir_restart_step(short) .and. short == 123, "restart")
    call check(setenv("WEIR_RESTART_STEP"//c_null_char, "none"//c_null_char, 1_c_int) == 0, "setenv")
    call check(.not. weir_restart_step(short) .and. short == 123, "restart from nonsense")
  end subroutine

  !> What came back for this step, the one with sequence number step - 1: from the third on, but not each fourth.
  subroutine check_back(step)
    integer, intent(in) :: step
    integer :: status(5), expected
    dt = -99
    da = -99
    db = -99
    q  = -99
    gain = -99
    call weir_parameter_get(s, "wind", wind, ierr)
    call check(ierr == 0 .and. wind == merge(1.25d0, 10d0 * (step - 1), step < 3), "wind")
    call weir_parameter_get(s, "gain", gain, ierr)
    call check(ierr < 0 .and. gain == -99, "gain")
    call weir_get(s, "dt", dt(1:nx, ny:1:-1), ierr=status(1)) ! inside a halo, y backwards
    call weir_get(s, "da", da(1::2, 1:2, :), 1, status(2))
    call weir_get(s, "da", da(1::2, 3:, :), 2, status(3))
    call weir_get(s, "db", db, ierr=status(4))
    call weir_get(s, "q", q, ierr=status(5))
    expected = merge(weir_end, 0, step < 3 .or. mod(step - 1, 4) == 0)
    call check(all(status == expected), "status of weir_get: "//weir_error(s))
    if (expected == weir_end) then
      call check(all(dt == -99) .and. all(da == -99) .and. all(db == -99) .and. q == -99, "untouched")
      return
    end if
    call check(count(dt /= -99) == nx * ny .and. count(da /= -99) == nx * ny * nz, "only the sections")
    do j = 1, ny
      do i = 1, nx
        call check(dt(i, ny + 1 - j) == 1000 * (step - 1) + 10 * (j - 1) + i - 1, "dt")
        do l = 1, nz
          call check(da(2 * i - 1, j, l) == 1000 * (step - 1) + 100 * (l - 1) + 10 * (j - 1) + i - 1, "da")
        end do
      end do
    end do
    call check(all(reshape(db, [48]) == [(1000 * (step - 1) + i, i=0, 47)]), "db")
    call check(q == 1000 * (step - 1), "q")
    call weir_get(s, "dt", dt, ierr=ierr)
    call check(ierr < 0, "the shape of dt")
  end subroutine

  subroutine check(fine, what)
    logical, intent(in)          :: fine
    character(len=*), intent(in) :: what
    if (fine) return
    print '(2a)', "fortran_writer: ", what
    error stop 1
  end subroutine
end program
