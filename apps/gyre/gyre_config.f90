!> What a run is told: the namelist &gyre of one file, read once, checked, the same on every process.
module gyre_config
  use, intrinsic :: iso_fortran_env, only: iostat_end
  use mpi_f08
  use gyre_grid, only: dp
  implicit none
  private
  public :: config, config_read

  integer, parameter :: line_length = 256, max_lines = 400

  !> All settings, SI units. The defaults are the coarse reference case of Guillaumin & Zanna (2021,
  !! 10.1029/2021MS002534).
  type config
    integer :: nx = 96, ny = 96
    real(dp) :: lx = 3840.0e3_dp, ly = 3840.0e3_dp
    real(dp) :: depth = 500, gravity = 9.81_dp, density = 1000, latitude = 35
    real(dp) :: tau0 = 0.12_dp, cd = 1.0e-5_dp, nu = 540
    real(dp) :: dt = 0, ndays = 64
    integer :: nsteps = 0
    integer :: npx = 0, npy = 0
    integer :: output_every = 0, diagnostics_every = 168, restart_every = 0
    character(len=line_length) :: restart_read = '', restart_write = '', budget_file = ''
    real(dp) :: bump = 0, bump_radius = 200.0e3_dp, noise = 0
    integer :: seed = 1
    logical :: assimilate = .false.
    integer :: restart_step = -1
  end type config

contains

  !> Read and check the namelist file. Collective over `comm`: rank 0 reads, all parse the same text.
  !! `error` is empty on success, otherwise one message, the same on every process.
  subroutine config_read(path, comm, cfg, error)
    character(len=*), intent(in) :: path
    type(MPI_Comm), intent(in) :: comm
    type(config), intent(out) :: cfg
    character(len=*), intent(out) :: error
    character(len=line_length), allocatable :: lines(:)
    integer :: rank

    call MPI_Comm_rank(comm, rank)
    error = ''
    allocate (lines(max_lines))
    lines = ''
    if (rank == 0) call read_lines(path, lines, error)
    call MPI_Bcast(error, len(error), MPI_CHARACTER, 0, comm)
    if (error /= '') return
    call MPI_Bcast(lines, line_length * max_lines, MPI_CHARACTER, 0, comm)
    call parse(lines, path, cfg, error)
    if (error == '') call check(cfg, error)
    if (error /= '' .and. index(error, trim(path)) == 0) error = trim(path)//': '//error
    if (error == '' .and. cfg%dt <= 0) then
      ! gravity waves: 0.9 of the cell in one step (the reference case); RK4 is stable up to 1 on the square grid
      cfg%dt = real(floor(0.9_dp * min(cfg%lx / cfg%nx, cfg%ly / cfg%ny) / sqrt(cfg%gravity * cfg%depth)), dp)
      if (cfg%dt < 1) error = trim(path)//': the automatic time step is below 1 s; give dt'
    end if
    if (error == '' .and. cfg%nsteps == 0) then
      if (cfg%ndays * 86400 / cfg%dt > 1.0e9_dp) then
        error = trim(path)//': ndays / dt is more steps than can be counted'
      else
        cfg%nsteps = ceiling(cfg%ndays * 86400 / cfg%dt)
      end if
    end if
  end subroutine config_read

  subroutine read_lines(path, lines, error)
    character(len=*), intent(in) :: path
    character(len=*), intent(out) :: lines(:)
    character(len=*), intent(out) :: error
    character(len=line_length + 1) :: line
    character(len=200) :: reason
    integer :: unit, status, n

    error = ''
    lines = ''
    open (newunit=unit, file=path, status='old', action='read', form='formatted', iostat=status, iomsg=reason)
    if (status /= 0) then
      error = trim(path)//': no such namelist file, or not readable (usage: gyre [FILE], gyre --help)'
      return
    end if
    n = 0
    do
      read (unit, '(a)', iostat=status, iomsg=reason) line
      if (is_iostat_end(status)) exit
      if (status == 0 .and. len_trim(line) > line_length) reason = 'a line is longer than 256 characters'
      if (status == 0 .and. n == max_lines) reason = 'more than 400 lines'
      if (status /= 0 .or. len_trim(line) > line_length .or. n == max_lines) then
        error = trim(path)//': '//reason
        exit
      end if
      n = n + 1
      lines(n) = line(1:line_length)
    end do
    close (unit)
  end subroutine read_lines

  !> Namelist variables must be plain variables; they are those of the type, in the same order.
  subroutine parse(lines, path, cfg, error)
    character(len=*), intent(in) :: lines(:), path
    type(config), intent(out) :: cfg
    character(len=*), intent(out) :: error
    integer :: nx, ny, nsteps, npx, npy, output_every, diagnostics_every, restart_every, seed, status, &
      restart_step
    real(dp) :: lx, ly, depth, gravity, density, latitude, tau0, cd, nu, dt, ndays, bump, bump_radius, noise
    character(len=line_length) :: restart_read, restart_write, budget_file
    logical :: assimilate
    character(len=200) :: reason
    namelist /gyre/ nx, ny, lx, ly, depth, gravity, density, latitude, tau0, cd, nu, dt, ndays, nsteps, npx, npy, &
      output_every, diagnostics_every, restart_every, restart_read, restart_write, budget_file, bump, bump_radius, &
      noise, seed, assimilate, restart_step

    error = ''
    call move(.true.)
    status = iostat_end
    if (any(starts_group(lines))) read (lines, nml=gyre, iostat=status, iomsg=reason)
    if (is_iostat_end(status)) reason = 'there is no complete namelist &gyre ... / in it'
    if (status /= 0) error = trim(path)//': '//reason
    if (status == 0) call move(.false.)

  contains

    subroutine move(from_defaults)
      logical, intent(in) :: from_defaults
      type(config) :: c
      if (from_defaults) then
        nx = c%nx; ny = c%ny; lx = c%lx; ly = c%ly
        depth = c%depth; gravity = c%gravity; density = c%density; latitude = c%latitude
        tau0 = c%tau0; cd = c%cd; nu = c%nu; dt = c%dt; ndays = c%ndays; nsteps = c%nsteps
        npx = c%npx; npy = c%npy
        output_every = c%output_every; diagnostics_every = c%diagnostics_every; restart_every = c%restart_every
        restart_read = c%restart_read; restart_write = c%restart_write; budget_file = c%budget_file
        bump = c%bump; bump_radius = c%bump_radius; noise = c%noise; seed = c%seed
        assimilate = c%assimilate
        restart_step = c%restart_step
      else
        cfg = config(nx, ny, lx, ly, depth, gravity, density, latitude, tau0, cd, nu, dt, ndays, nsteps, npx, npy, &
                     output_every, diagnostics_every, restart_every, restart_read, restart_write, budget_file, bump, &
                     bump_radius, noise, seed, assimilate, restart_step)
      end if
    end subroutine move

  end subroutine parse

  !> Is this the line `&gyre`? A read from internal lines may pass over a group that is not there without an error.
  elemental logical function starts_group(line)
    character(len=*), intent(in) :: line
    character(len=6) :: word
    integer :: i, code
    word = adjustl(line)
    do i = 2, 5
      code = iachar(word(i:i))
      if (code >= iachar('A') .and. code <= iachar('Z')) word(i:i) = achar(code + 32)
    end do
    starts_group = word == '&gyre' .or. word == '&gyre'//achar(9)
  end function starts_group

  subroutine check(c, error)
    type(config), intent(in) :: c
    character(len=*), intent(out) :: error
    error = ''
    call require(c%nx >= 4 .and. c%ny >= 4, 'nx and ny must be at least 4')
    call require(real(c%nx, dp) * real(c%ny, dp) < 2.0e9_dp, 'nx * ny must stay below 2e9')
    call require(c%lx > 0 .and. c%ly > 0 .and. c%depth > 0 .and. c%gravity > 0 .and. c%density > 0, &
                 'lx, ly, depth, gravity and density must be positive')
    call require(abs(c%latitude) <= 90, 'latitude must lie between -90 and 90 degrees')
    call require(abs(c%tau0) < huge(c%tau0), 'tau0 must be a finite number')
    call require(c%cd >= 0 .and. c%nu >= 0, 'cd and nu must not be negative')
    call require(c%dt >= 0 .and. c%ndays >= 0 .and. c%nsteps >= 0, 'dt, ndays and nsteps must not be negative')
    call require(c%npx >= 0 .and. c%npy >= 0, 'npx and npy must not be negative (0 chooses)')
    call require(c%output_every >= 0 .and. c%diagnostics_every >= 0 .and. c%restart_every >= 0, &
                 'output_every, diagnostics_every and restart_every must not be negative (0: never)')
    call require(c%restart_every == 0 .or. c%restart_write /= '', 'restart_every needs restart_write, a file name')
    call require(c%restart_step >= -1 .and. c%restart_step < huge(1), 'restart_step must not be negative')
    call require(c%restart_step < 0 .or. c%restart_read /= '', 'restart_step needs restart_read, a file name')
    call require(c%budget_file == '' .or. c%diagnostics_every > 0, 'budget_file needs diagnostics_every above 0')
    call require(.not. c%assimilate .or. c%output_every > 0, 'assimilate needs output_every above 0')
    call require(abs(c%bump) < c%depth / 2 .and. abs(c%noise) < c%depth / 2 .and. c%bump_radius > 0, &
                 'bump and noise must be smaller than half the depth, bump_radius positive')

  contains

    !> The first requirement that is not met gives the message.
    subroutine require(met, message)
      logical, intent(in) :: met
      character(len=*), intent(in) :: message
      if (.not. met .and. error == '') error = message
    end subroutine require

  end subroutine check

end module gyre_config
